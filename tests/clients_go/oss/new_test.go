package oss

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clients/rig"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

var (
	ctx       = context.Background()
	newBucket = oss.Ptr(rig.Bucket)
)

// The ways in which a client of the newer SDK may be set up.
var newKinds = map[string]func(*oss.Config){
	"V1, bucket in the host": func(c *oss.Config) { c.WithSignatureVersion(oss.SignatureVersionV1) },
	"V4, bucket in the host": func(c *oss.Config) { c.WithSignatureVersion(oss.SignatureVersionV4) },
	"V4, host signed":        func(c *oss.Config) { c.WithAdditionalHeaders([]string{"host", "content-length"}) },
}

func newClient(t *testing.T, change func(*oss.Config)) *oss.Client {
	t.Helper()
	rig.Fresh(t)
	config := oss.LoadDefaultConfig().WithRegion(rig.Region).WithDisableSSL(true).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(rig.KeyID, rig.Secret)).
		WithHttpClient(&http.Client{Transport: rig.Transport(t)}).WithRetryMaxAttempts(1)
	change(config)
	return oss.NewClient(config)
}

func refusedNew(t *testing.T, err error, status int, code string) *oss.ServiceError {
	t.Helper()
	var told *oss.ServiceError
	if !errors.As(err, &told) {
		t.Fatalf("no error of the service, but %v", err)
	}
	rig.Equal(t, "the code", told.Code, code)
	rig.Equal(t, "the status", told.StatusCode, status)
	if told.RequestID == "" {
		t.Error("the error tells no request")
	}
	return told
}

func everyKind(t *testing.T, test func(*testing.T, *oss.Client)) {
	for name, change := range newKinds {
		t.Run(name, func(t *testing.T) { test(t, newClient(t, change)) })
	}
}

func TestNewClientsPutGetAndCopy(t *testing.T) {
	everyKind(t, func(t *testing.T, client *oss.Client) {
		key := oss.Ptr("dir/ä +&?%~ name.txt")
		_, err := client.PutObject(ctx, &oss.PutObjectRequest{
			Bucket: newBucket, Key: key, Body: strings.NewReader("hello"),
			ContentType: oss.Ptr("text/x-test"), Metadata: map[string]string{"owner": "me"},
		})
		rig.Must(t, err)
		got, err := client.GetObject(ctx, &oss.GetObjectRequest{Bucket: newBucket, Key: key})
		rig.Must(t, err)
		text, err := io.ReadAll(got.Body)
		rig.Must(t, err)
		rig.Must(t, got.Body.Close())
		rig.Equal(t, "the text", string(text), "hello")
		rig.Equal(t, "the owner", got.Metadata["owner"], "me")
		rig.Equal(t, "the length", got.ContentLength, int64(5))
		_, err = client.CopyObject(ctx, &oss.CopyObjectRequest{
			Bucket: newBucket, Key: oss.Ptr("copy"), SourceKey: key, MetadataDirective: oss.Ptr("REPLACE"),
			Metadata: map[string]string{"owner": "you"},
		})
		rig.Must(t, err)
		head, err := client.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: newBucket, Key: oss.Ptr("copy")})
		rig.Must(t, err)
		rig.Equal(t, "the owner", head.Metadata["owner"], "you")
		_, err = client.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: newBucket, Key: oss.Ptr("nothing")})
		refusedNew(t, err, 404, "NoSuchKey")
		_, err = client.DeleteMultipleObjects(ctx, &oss.DeleteMultipleObjectsRequest{
			Bucket: newBucket, Objects: []oss.DeleteObject{{Key: key}, {Key: oss.Ptr("copy")}},
		})
		rig.Must(t, err)
		left, err := client.ListObjectsV2(ctx, &oss.ListObjectsV2Request{Bucket: newBucket})
		rig.Must(t, err)
		rig.Equal(t, "objects left", left.KeyCount, 0)
	})
}

func TestNewClientsPresign(t *testing.T) {
	everyKind(t, func(t *testing.T, client *oss.Client) {
		send := func(signed *oss.PresignResult, body string) (int, string) {
			request, err := http.NewRequest(signed.Method, signed.URL, strings.NewReader(body))
			rig.Must(t, err)
			for name, value := range signed.SignedHeaders {
				request.Header.Set(name, value)
			}
			response, err := (&http.Client{Transport: rig.Transport(t)}).Do(request)
			rig.Must(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			rig.Must(t, err)
			return response.StatusCode, string(text)
		}
		key := oss.Ptr("a b+c")
		put, err := client.Presign(ctx, &oss.PutObjectRequest{
			Bucket: newBucket, Key: key, ContentType: oss.Ptr("text/x-test"),
		}, oss.PresignExpires(time.Minute))
		rig.Must(t, err)
		status, text := send(put, "hello")
		rig.Equal(t, "the status of a put: "+text, status, 200)
		get, err := client.Presign(ctx, &oss.GetObjectRequest{Bucket: newBucket, Key: key}, oss.PresignExpires(time.Minute))
		rig.Must(t, err)
		status, text = send(get, "")
		rig.Equal(t, "the status of a get", status, 200)
		rig.Equal(t, "the text", text, "hello")
		get.URL = strings.Replace(get.URL, "a%20b", "other", 1)
		status, _ = send(get, "")
		rig.Equal(t, "the status of another key", status, 403)
	})
}

func TestNewClientsUploadDownloadAndList(t *testing.T) {
	everyKind(t, func(t *testing.T, client *oss.Client) {
		file := filepath.Join(t.TempDir(), "big")
		bytesOf := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
		rig.Must(t, os.WriteFile(file, bytesOf, 0o600))
		for _, key := range []string{"big", "b/ä +", "b/2"} {
			_, err := client.NewUploader(func(o *oss.UploaderOptions) { o.PartSize = 100 * 1024 }).
				UploadFile(ctx, &oss.PutObjectRequest{Bucket: newBucket, Key: oss.Ptr(key)}, file)
			rig.Must(t, err)
		}
		_, err := client.NewDownloader(func(o *oss.DownloaderOptions) { o.PartSize = 100 * 1024 }).
			DownloadFile(ctx, &oss.GetObjectRequest{Bucket: newBucket, Key: oss.Ptr("b/ä +")}, file+".back")
		rig.Must(t, err)
		back, err := os.ReadFile(file + ".back")
		rig.Must(t, err)
		rig.Equal(t, "whether the bytes came back", bytes.Equal(back, bytesOf), true)
		var keys []string
		pages := client.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{Bucket: newBucket, MaxKeys: 1})
		for pages.HasNext() {
			page, err := pages.NextPage(ctx)
			rig.Must(t, err)
			for _, row := range page.Contents {
				keys = append(keys, *row.Key)
			}
		}
		rig.Equal(t, "the keys", strings.Join(keys, ","), "b/2,b/ä +,big")
		_, err = client.NewCopier(func(o *oss.CopierOptions) { o.PartSize, o.MultipartCopyThreshold = 100*1024, 1 }).
			Copy(ctx, &oss.CopyObjectRequest{Bucket: newBucket, Key: oss.Ptr("copy"), SourceKey: oss.Ptr("b/ä +")})
		rig.Must(t, err)
		opened, err := client.OpenFile(ctx, rig.Bucket, "copy")
		rig.Must(t, err)
		back, err = io.ReadAll(opened)
		rig.Must(t, err)
		rig.Must(t, opened.Close())
		rig.Equal(t, "whether the copy has the bytes", bytes.Equal(back, bytesOf), true)
	})
}

func TestNewClientsBuckets(t *testing.T) {
	everyKind(t, func(t *testing.T, client *oss.Client) {
		name := oss.Ptr("second-bucket")
		_, err := client.PutBucket(ctx, &oss.PutBucketRequest{Bucket: name, CreateBucketConfiguration: &oss.CreateBucketConfiguration{
			StorageClass: oss.StorageClassIA, DataRedundancyType: oss.DataRedundancyLRS,
		}})
		rig.Must(t, err)
		there, err := client.IsBucketExist(ctx, *name)
		rig.Must(t, err)
		rig.Equal(t, "whether it is there", there, true)
		info, err := client.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: name})
		rig.Must(t, err)
		rig.Equal(t, "the class", *info.BucketInfo.StorageClass, "IA")
		_, err = client.PutBucketTags(ctx, &oss.PutBucketTagsRequest{Bucket: name, Tagging: &oss.Tagging{
			TagSet: &oss.TagSet{Tags: []oss.Tag{{Key: oss.Ptr("k"), Value: oss.Ptr("v")}}},
		}})
		rig.Must(t, err)
		tags, err := client.GetBucketTags(ctx, &oss.GetBucketTagsRequest{Bucket: name})
		rig.Must(t, err)
		rig.Equal(t, "the tag", *tags.Tagging.TagSet.Tags[0].Key, "k")
		_, err = client.GetBucketStat(ctx, &oss.GetBucketStatRequest{Bucket: name})
		rig.Must(t, err)
		all, err := client.ListBuckets(ctx, &oss.ListBucketsRequest{MaxKeys: 1})
		rig.Must(t, err)
		rig.Equal(t, "whether there are more", all.IsTruncated, true)
		_, err = client.DeleteBucket(ctx, &oss.DeleteBucketRequest{Bucket: name})
		rig.Must(t, err)
		_, err = client.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: name})
		told := refusedNew(t, err, 404, "NoSuchBucket")
		rig.Equal(t, "the reason", told.EC, "0015-00000101")
		there, err = client.IsBucketExist(ctx, *name)
		rig.Must(t, err)
		rig.Equal(t, "whether it is there", there, false)
	})
}

func TestTheRoleOfTheInstanceReadsObjects(t *testing.T) {
	client := newClient(t, func(c *oss.Config) {
		c.WithCredentialsProvider(credentials.NewEcsRoleCredentialsProvider())
	})
	rig.Metadata(t, rig.Node1)
	_, err := client.ListObjectsV2(ctx, &oss.ListObjectsV2Request{Bucket: newBucket})
	rig.Must(t, err)
}
