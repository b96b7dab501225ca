package s3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"clients/rig"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func minioClient(t *testing.T, secret string) *minio.Client {
	t.Helper()
	rig.Fresh(t)
	made, err := minio.New("oss-cn-hangzhou.aliyuncs.com", &minio.Options{
		Creds: credentials.NewStaticV4(rig.KeyID, secret, ""), Transport: rig.Transport(t),
		Region: rig.Region, BucketLookup: minio.BucketLookupDNS, MaxRetries: 1,
	})
	rig.Must(t, err)
	return made
}

// MinIO's client signs each chunk of an upload over plain HTTP.
func TestChunksThatAreSigned(t *testing.T) {
	client := minioClient(t, rig.Secret)
	bytesOf := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, size := range []int{0, 5, 1 << 16, len(bytesOf)} {
		info, err := client.PutObject(ctx, rig.Bucket, "dir/ä +&", bytes.NewReader(bytesOf[:size]), int64(size),
			minio.PutObjectOptions{ContentType: "text/x-test", UserMetadata: map[string]string{"owner": "me"}})
		rig.Must(t, err)
		rig.Equal(t, "the size", info.Size, int64(size))
		got, err := client.GetObject(ctx, rig.Bucket, "dir/ä +&", minio.GetObjectOptions{})
		rig.Must(t, err)
		back, err := io.ReadAll(got)
		rig.Must(t, err)
		rig.Equal(t, "whether the bytes came back", bytes.Equal(back, bytesOf[:size]), true)
	}
	told, err := client.StatObject(ctx, rig.Bucket, "dir/ä +&", minio.StatObjectOptions{})
	rig.Must(t, err)
	rig.Equal(t, "the owner", told.UserMetadata["Owner"], "me")
	rig.Equal(t, "the encoding", told.Metadata.Get("Content-Encoding"), "")
}

func TestMinioListsCopiesAndDeletes(t *testing.T) {
	client := minioClient(t, rig.Secret)
	big := bytes.Repeat([]byte("0123456789abcdef"), 12<<16)
	for _, key := range []string{"a", "b/ä +", "b/2"} {
		_, err := client.PutObject(ctx, rig.Bucket, key, bytes.NewReader(big), -1, minio.PutObjectOptions{PartSize: 5 << 20})
		rig.Must(t, err)
	}
	_, err := client.CopyObject(ctx, minio.CopyDestOptions{Bucket: rig.Bucket, Object: "c"},
		minio.CopySrcOptions{Bucket: rig.Bucket, Object: "b/ä +"})
	rig.Must(t, err)
	var keys []string
	for row := range client.ListObjects(ctx, rig.Bucket, minio.ListObjectsOptions{Recursive: true, MaxKeys: 1}) {
		rig.Must(t, row.Err)
		keys = append(keys, row.Key)
	}
	rig.Equal(t, "the keys", strings.Join(keys, ","), "a,b/2,b/ä +,c")
	rig.Must(t, client.RemoveObject(ctx, rig.Bucket, "a", minio.RemoveObjectOptions{}))
	url, err := client.PresignedGetObject(ctx, rig.Bucket, "c", time.Minute, nil)
	rig.Must(t, err)
	if !strings.Contains(url.String(), "X-Amz-Signature") {
		t.Errorf("no signature in %v", url)
	}
	_, err = client.StatObject(ctx, rig.Bucket, "a", minio.StatObjectOptions{})
	var told minio.ErrorResponse
	if !errors.As(err, &told) || told.StatusCode != 404 {
		t.Errorf("no refusal, but %v", err)
	}
}

func TestAChunkThatIsSignedWrongly(t *testing.T) {
	client := minioClient(t, "wrong")
	_, err := client.PutObject(ctx, rig.Bucket, "a", strings.NewReader("hello"), 5, minio.PutObjectOptions{})
	var told minio.ErrorResponse
	if !errors.As(err, &told) {
		t.Fatalf("no error of the service, but %v", err)
	}
	rig.Equal(t, "the code", told.Code, "SignatureDoesNotMatch")
}
