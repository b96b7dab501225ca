// Package s3 drives cloudsim's object storage with clients of S3.
package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clients/rig"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var (
	ctx    = context.Background()
	bucket = aws.String(rig.Bucket)
)

// awsClient is set up as OSS documents it for this SDK: no checksums of S3's own.
func awsClient(t *testing.T, change ...func(*s3.Options)) *s3.Client {
	t.Helper()
	rig.Fresh(t)
	return s3.New(s3.Options{
		Region: rig.Region, BaseEndpoint: aws.String("http://oss-cn-hangzhou.aliyuncs.com"),
		Credentials:                credentials.NewStaticCredentialsProvider(rig.KeyID, rig.Secret, ""),
		HTTPClient:                 &http.Client{Transport: rig.Transport(t)},
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}, change...)
}

func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var told smithy.APIError
	if !errors.As(err, &told) {
		t.Fatalf("no error of the service, but %v", err)
	}
	rig.Equal(t, "the code", told.ErrorCode(), code)
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != status {
		t.Errorf("the status is not %d: %v", status, err)
	}
}

func TestObjectsGoAndComeBack(t *testing.T) {
	client := awsClient(t)
	key := aws.String("dir/ä +&?%~ name.txt")
	put, err := client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: key, Body: strings.NewReader("hello"), ContentType: aws.String("text/x-test"),
		Metadata: map[string]string{"owner": "me"},
	})
	rig.Must(t, err)
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=1-3")})
	rig.Must(t, err)
	text, err := io.ReadAll(got.Body)
	rig.Must(t, err)
	rig.Equal(t, "the text", string(text), "ell")
	head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	rig.Must(t, err)
	rig.Equal(t, "the owner", head.Metadata["owner"], "me")
	rig.Equal(t, "the ETag", *head.ETag, *put.ETag)
	rig.Equal(t, "the length", *head.ContentLength, int64(5))
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(rig.Bucket + "/dir/%C3%A4%20%2B%26%3F%25~%20name.txt"),
	})
	rig.Must(t, err)
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("nothing")})
	refused(t, err, 404, "NotFound")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("nothing")})
	refused(t, err, 404, "NoSuchKey")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=9-")})
	refused(t, err, 416, "InvalidRange")
	gone, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: key}, {Key: aws.String("copy")}},
	}})
	rig.Must(t, err)
	rig.Equal(t, "deleted", len(gone.Deleted), 2)
	left, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	rig.Must(t, err)
	rig.Equal(t, "objects left", *left.KeyCount, int32(0))
}

func TestUploadsInPartsAndLists(t *testing.T) {
	client := awsClient(t)
	bytesOf := bytes.Repeat([]byte("0123456789abcdef"), 12<<16)
	for _, key := range []string{"big", "b/ä +", "b/2"} {
		_, err := manager.NewUploader(client, func(u *manager.Uploader) {
			u.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}).Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String(key), Body: bytes.NewReader(bytesOf)})
		rig.Must(t, err)
	}
	back := manager.NewWriteAtBuffer(nil)
	_, err := manager.NewDownloader(client).Download(ctx, back, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("b/ä +")})
	rig.Must(t, err)
	rig.Equal(t, "whether the bytes came back", bytes.Equal(back.Bytes(), bytesOf), true)
	var keys []string
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		rig.Must(t, err)
		for _, row := range page.Contents {
			keys = append(keys, *row.Key)
		}
	}
	rig.Equal(t, "the keys", strings.Join(keys, ","), "b/2,b/ä +,big")
	folded, err := client.ListObjects(ctx, &s3.ListObjectsInput{Bucket: bucket, Delimiter: aws.String("/")})
	rig.Must(t, err)
	rig.Equal(t, "the prefix", *folded.CommonPrefixes[0].Prefix, "b/")
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: aws.String("other")})
	rig.Must(t, err)
	_, err = client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: aws.String("other"), UploadId: upload.UploadId})
	rig.Must(t, err)
	_, err = client.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: aws.String("other"), UploadId: upload.UploadId})
	refused(t, err, 404, "NoSuchUpload")
}

func TestPresignedURLs(t *testing.T) {
	client := awsClient(t)
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a b+c"), Body: strings.NewReader("hello")})
	rig.Must(t, err)
	signed, err := s3.NewPresignClient(client).PresignGetObject(ctx,
		&s3.GetObjectInput{Bucket: bucket, Key: aws.String("a b+c")}, s3.WithPresignExpires(time.Minute))
	rig.Must(t, err)
	get := func(url string) (int, string) {
		response, err := (&http.Client{Transport: rig.Transport(t)}).Get(url)
		rig.Must(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		rig.Must(t, err)
		return response.StatusCode, string(text)
	}
	status, text := get(signed.URL)
	rig.Equal(t, "the status", status, 200)
	rig.Equal(t, "the text", text, "hello")
	status, _ = get(strings.Replace(signed.URL, "a%20b", "other", 1))
	rig.Equal(t, "the status of another key", status, 403)
}

func TestBucketsThroughTheirLife(t *testing.T) {
	client := awsClient(t)
	name := aws.String("second-bucket")
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name})
	rig.Must(t, err)
	_, err = client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: name})
	rig.Must(t, err)
	all, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
	rig.Must(t, err)
	rig.Equal(t, "buckets", len(all.Buckets), 2)
	place, err := client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: name})
	rig.Must(t, err)
	rig.Equal(t, "the place", string(place.LocationConstraint), "oss-cn-hangzhou")
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
	rig.Must(t, err)
	_, err = client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: name})
	refused(t, err, 404, "NotFound")
	_, err = client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: name})
	refused(t, err, 404, "NoSuchBucket")
}

func TestChecksumsOfS3AreNoTroubleInAHeader(t *testing.T) {
	client := awsClient(t, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
	})
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a"), Body: strings.NewReader("hello")})
	rig.Must(t, err)
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a")})
	rig.Must(t, err)
	text, err := io.ReadAll(got.Body)
	rig.Must(t, err)
	rig.Equal(t, "the text", string(text), "hello")
}

func TestAWrongSecret(t *testing.T) {
	client := awsClient(t, func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(rig.KeyID, "wrong", "")
	})
	_, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
	refused(t, err, 403, "SignatureDoesNotMatch")
}
