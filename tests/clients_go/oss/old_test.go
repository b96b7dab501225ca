// Package oss drives cloudsim's object storage with both of Alibaba's SDKs.
package oss

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clients/rig"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

const domain = "http://oss-cn-hangzhou.aliyuncs.com"

// The ways in which a client of the older SDK may be set up.
var kinds = map[string][]oss.ClientOption{
	"V1, bucket in the host": {oss.AuthVersion(oss.AuthV1)},
	"V4, bucket in the host": {oss.AuthVersion(oss.AuthV4), oss.Region(rig.Region)},
	"V1, bucket in the path": {oss.AuthVersion(oss.AuthV1), oss.ForcePathStyle(true)},
	"V4, bucket in the path": {oss.AuthVersion(oss.AuthV4), oss.Region(rig.Region), oss.ForcePathStyle(true)},
}

func oldClient(t *testing.T, options ...oss.ClientOption) *oss.Client {
	t.Helper()
	rig.Fresh(t)
	where := domain
	httpClient := &http.Client{Transport: rig.Transport(t)}
	client, err := oss.New(where, rig.KeyID, rig.Secret, append(options, oss.HTTPClient(httpClient))...)
	rig.Must(t, err)
	// The real domains refuse buckets in the path.
	if client.Config.IsPathStyle {
		client, err = oss.New("http://"+rig.Address(t), rig.KeyID, rig.Secret, append(options, oss.HTTPClient(httpClient))...)
		rig.Must(t, err)
	}
	return client
}

func oldBucket(t *testing.T, options ...oss.ClientOption) *oss.Bucket {
	t.Helper()
	bucket, err := oldClient(t, options...).Bucket(rig.Bucket)
	rig.Must(t, err)
	return bucket
}

func refusedOld(t *testing.T, err error, status int, code string) oss.ServiceError {
	t.Helper()
	var told oss.ServiceError
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

func TestObjectsGoAndComeBack(t *testing.T) {
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			bucket := oldBucket(t, options...)
			key := "dir/ä +&?%~ name.txt"
			rig.Must(t, bucket.PutObject(key, strings.NewReader("hello"),
				oss.ContentType("text/x-test"), oss.Meta("owner", "me"), oss.CacheControl("no-cache")))
			body, err := bucket.GetObject(key)
			rig.Must(t, err)
			text, err := io.ReadAll(body)
			rig.Must(t, err)
			rig.Must(t, body.Close())
			rig.Equal(t, "the text", string(text), "hello")
			meta, err := bucket.GetObjectDetailedMeta(key)
			rig.Must(t, err)
			rig.Equal(t, "the type", meta.Get("Content-Type"), "text/x-test")
			rig.Equal(t, "the owner", meta.Get("X-Oss-Meta-Owner"), "me")
			rig.Equal(t, "the cache's rule", meta.Get("Cache-Control"), "no-cache")
			part, err := bucket.GetObject(key, oss.Range(1, 3))
			rig.Must(t, err)
			text, err = io.ReadAll(part)
			rig.Must(t, err)
			rig.Must(t, part.Close())
			rig.Equal(t, "a part", string(text), "ell")
			copied, err := bucket.CopyObject(key, "copy of "+key)
			rig.Must(t, err)
			rig.Equal(t, "the copy's ETag", copied.ETag, meta.Get("ETag"))
			found, err := bucket.IsObjectExist("copy of " + key)
			rig.Must(t, err)
			rig.Equal(t, "whether the copy is there", found, true)
			rig.Must(t, bucket.DeleteObject(key))
			found, err = bucket.IsObjectExist(key)
			rig.Must(t, err)
			rig.Equal(t, "whether the object is there", found, false)
			_, err = bucket.GetObject(key)
			refusedOld(t, err, 404, "NoSuchKey")
		})
	}
}

func TestPresignedURLs(t *testing.T) {
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			bucket := oldBucket(t, options...)
			put, err := bucket.SignURL("a b+c", oss.HTTPPut, 60, oss.ContentType("text/x-test"))
			rig.Must(t, err)
			rig.Must(t, bucket.PutObjectWithURL(put, strings.NewReader("hello"), oss.ContentType("text/x-test")))
			get, err := bucket.SignURL("a b+c", oss.HTTPGet, 60, oss.ResponseContentDisposition("attachment; filename=x"))
			rig.Must(t, err)
			body, err := bucket.GetObjectWithURL(get)
			rig.Must(t, err)
			text, err := io.ReadAll(body)
			rig.Must(t, err)
			rig.Must(t, body.Close())
			rig.Equal(t, "the text", string(text), "hello")
			_, err = bucket.GetObjectWithURL(strings.Replace(get, "a%20b", "other", 1))
			refusedOld(t, err, 403, "SignatureDoesNotMatch")
		})
	}
}

func TestListsAreTheSameInEveryStyle(t *testing.T) {
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			bucket := oldBucket(t, options...)
			for _, key := range []string{"a", "b/1", "b/2 +&", "b/c/3", "d"} {
				rig.Must(t, bucket.PutObject(key, strings.NewReader(key)))
			}
			first, err := bucket.ListObjects(oss.Delimiter("/"), oss.MaxKeys(2))
			rig.Must(t, err)
			rig.Equal(t, "whether there is more", first.IsTruncated, true)
			rig.Equal(t, "the prefix", strings.Join(first.CommonPrefixes, " "), "b/")
			rest, err := bucket.ListObjects(oss.Delimiter("/"), oss.Marker(first.NextMarker))
			rig.Must(t, err)
			rig.Equal(t, "the last object", rest.Objects[0].Key, "d")
			second, err := bucket.ListObjectsV2(oss.Prefix("b/"), oss.MaxKeys(2), oss.FetchOwner(true))
			rig.Must(t, err)
			rig.Equal(t, "the second key", second.Objects[1].Key, "b/2 +&")
			rig.Equal(t, "the owner", second.Objects[0].Owner.ID, rig.Account)
			last, err := bucket.ListObjectsV2(oss.Prefix("b/"), oss.ContinuationToken(second.NextContinuationToken))
			rig.Must(t, err)
			rig.Equal(t, "the third key", last.Objects[0].Key, "b/c/3")
			gone, err := bucket.DeleteObjects([]string{"a", "b/2 +&", "nothing"})
			rig.Must(t, err)
			rig.Equal(t, "deleted", strings.Join(gone.DeletedObjects, " "), "a b/2 +& nothing")
		})
	}
}

func TestUploadsInParts(t *testing.T) {
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			bucket := oldBucket(t, options...)
			file := filepath.Join(t.TempDir(), "big")
			bytesOf := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
			rig.Must(t, os.WriteFile(file, bytesOf, 0o600))
			rig.Must(t, bucket.UploadFile("big", file, 100*1024, oss.Routines(3)))
			rig.Must(t, bucket.DownloadFile("big", file+".back", 100*1024, oss.Routines(3)))
			back, err := os.ReadFile(file + ".back")
			rig.Must(t, err)
			rig.Equal(t, "whether the bytes came back", bytes.Equal(back, bytesOf), true)

			upload, err := bucket.InitiateMultipartUpload("parts", oss.Meta("owner", "me"))
			rig.Must(t, err)
			one, err := bucket.UploadPart(upload, bytes.NewReader(bytesOf[:1<<17]), 1<<17, 1)
			rig.Must(t, err)
			two, err := bucket.UploadPartCopy(upload, rig.Bucket, "big", 0, 1<<17, 2)
			rig.Must(t, err)
			parts, err := bucket.ListUploadedParts(upload)
			rig.Must(t, err)
			rig.Equal(t, "uploaded parts", len(parts.UploadedParts), 2)
			uploads, err := bucket.ListMultipartUploads()
			rig.Must(t, err)
			rig.Equal(t, "uploads", len(uploads.Uploads), 1)
			done, err := bucket.CompleteMultipartUpload(upload, []oss.UploadPart{one, two})
			rig.Must(t, err)
			rig.Equal(t, "the key", done.Key, "parts")
			meta, err := bucket.GetObjectDetailedMeta("parts")
			rig.Must(t, err)
			rig.Equal(t, "the owner", meta.Get("X-Oss-Meta-Owner"), "me")
			rig.Equal(t, "the kind", meta.Get("X-Oss-Object-Type"), "Multipart")
			other, err := bucket.InitiateMultipartUpload("parts")
			rig.Must(t, err)
			rig.Must(t, bucket.AbortMultipartUpload(other))
			refusedOld(t, bucket.AbortMultipartUpload(other), 404, "NoSuchUpload")
		})
	}
}

func TestTagsOfObjects(t *testing.T) {
	bucket := oldBucket(t, oss.AuthVersion(oss.AuthV4), oss.Region(rig.Region))
	tags := oss.Tagging{Tags: []oss.Tag{{Key: "k 1", Value: "v+1"}, {Key: "k2"}}}
	rig.Must(t, bucket.PutObject("a", strings.NewReader("x"), oss.SetTagging(tags)))
	found, err := bucket.GetObjectTagging("a")
	rig.Must(t, err)
	rig.Equal(t, "tags", len(found.Tags), 2)
	rig.Must(t, bucket.PutObjectTagging("a", oss.Tagging{Tags: []oss.Tag{{Key: "k3", Value: "v3"}}}))
	found, err = bucket.GetObjectTagging("a")
	rig.Must(t, err)
	rig.Equal(t, "the tag", found.Tags[0].Key, "k3")
	rig.Must(t, bucket.DeleteObjectTagging("a"))
	found, err = bucket.GetObjectTagging("a")
	rig.Must(t, err)
	rig.Equal(t, "tags", len(found.Tags), 0)
}

func TestBucketsThroughTheirLife(t *testing.T) {
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			client := oldClient(t, options...)
			rig.Must(t, client.CreateBucket("second-bucket", oss.ACL(oss.ACLPrivate), oss.StorageClass(oss.StorageIA)))
			all, err := client.ListBuckets()
			rig.Must(t, err)
			rig.Equal(t, "buckets", len(all.Buckets), 2)
			info, err := client.GetBucketInfo("second-bucket")
			rig.Must(t, err)
			rig.Equal(t, "the class", info.BucketInfo.StorageClass, "IA")
			rig.Equal(t, "the place", info.BucketInfo.Location, "oss-cn-hangzhou")
			there, err := client.IsBucketExist("second-bucket")
			rig.Must(t, err)
			rig.Equal(t, "whether it is there", there, true)
			rig.Must(t, client.SetBucketACL("second-bucket", oss.ACLPublicRead))
			acl, err := client.GetBucketACL("second-bucket")
			rig.Must(t, err)
			rig.Equal(t, "the ACL", acl.ACL, string(oss.ACLPublicRead))
			rig.Must(t, client.SetBucketTagging("second-bucket", oss.Tagging{Tags: []oss.Tag{{Key: "k", Value: "v"}}}))
			tags, err := client.GetBucketTagging("second-bucket")
			rig.Must(t, err)
			rig.Equal(t, "the tag", tags.Tags[0].Key, "k")
			stat, err := client.GetBucketStat("second-bucket")
			rig.Must(t, err)
			rig.Equal(t, "objects", stat.ObjectCount, int64(0))
			bucket, err := client.Bucket("second-bucket")
			rig.Must(t, err)
			rig.Must(t, bucket.PutObject("a", strings.NewReader("x")))
			refusedOld(t, client.DeleteBucket("second-bucket"), 409, "BucketNotEmpty")
			rig.Must(t, bucket.DeleteObject("a"))
			rig.Must(t, client.DeleteBucket("second-bucket"))
			_, err = client.GetBucketInfo("second-bucket")
			refusedOld(t, err, 404, "NoSuchBucket")
			_, err = bucket.ListObjects()
			refusedOld(t, err, 404, "NoSuchBucket")
		})
	}
}

func TestConditionsAndRefusals(t *testing.T) {
	bucket := oldBucket(t, oss.AuthVersion(oss.AuthV4), oss.Region(rig.Region))
	rig.Must(t, bucket.PutObject("a", strings.NewReader("x")))
	refusedOld(t, bucket.PutObject("a", strings.NewReader("y"), oss.ForbidOverWrite(true)), 409, "FileAlreadyExists")
	_, err := bucket.GetObject("a", oss.IfMatch("nonsense"))
	refusedOld(t, err, 412, "PreconditionFailed")
	_, err = bucket.GetObject("a", oss.IfModifiedSince(time.Now().Add(-time.Hour)))
	rig.Must(t, err)
	refusedOld(t, bucket.PutObject("/a", strings.NewReader("y")), 400, "InvalidObjectName")
	wrong := oldClient(t)
	wrong.Config.AccessKeySecret = "wrong"
	_, err = wrong.ListBuckets()
	refusedOld(t, err, 403, "SignatureDoesNotMatch")
	wrong.Config.AccessKeyID = "LTAIunknown"
	_, err = wrong.ListBuckets()
	refusedOld(t, err, 403, "InvalidAccessKeyId")
	elsewhere := oldClient(t, oss.AuthVersion(oss.AuthV4), oss.Region("cn-beijing"))
	_, err = elsewhere.ListBuckets()
	refusedOld(t, err, 400, "InvalidArgument")
}
