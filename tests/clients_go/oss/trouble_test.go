package oss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

func TestABodyOfUnknownLength(t *testing.T) {
	bucket := oldBucket(t)
	body := io.MultiReader(strings.NewReader("one "), strings.NewReader("two"))
	rig.Must(t, bucket.PutObject("a", body))
	found, err := bucket.GetObject("a")
	rig.Must(t, err)
	text, err := io.ReadAll(found)
	rig.Must(t, err)
	rig.Must(t, found.Close())
	rig.Equal(t, "the text", string(text), "one two")
}

// The answer must come through although the client is still sending.
func TestARefusalWhileAGreatBodyIsSent(t *testing.T) {
	great := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	client := oldClient(t)
	bucket, err := client.Bucket("no-such-bucket")
	rig.Must(t, err)
	for range 5 {
		refusedOld(t, bucket.PutObject("a", bytes.NewReader(great)), 404, "NoSuchBucket")
	}
	client.Config.AccessKeySecret = "wrong"
	for range 5 {
		refusedOld(t, bucket.PutObject("a", bytes.NewReader(great)), 403, "SignatureDoesNotMatch")
	}
	other := newClient(t, func(*oss.Config) {})
	for range 5 {
		_, err := other.PutObject(ctx, &oss.PutObjectRequest{Bucket: oss.Ptr("no-such-bucket"), Key: oss.Ptr("a"), Body: bytes.NewReader(great)})
		refusedNew(t, err, 404, "NoSuchBucket")
	}
}

func TestManyAtOnce(t *testing.T) {
	client := newClient(t, func(*oss.Config) {})
	var group sync.WaitGroup
	failed := make(chan error, 64)
	for n := range 64 {
		group.Go(func() {
			key := oss.Ptr(fmt.Sprintf("many/%d", n))
			_, err := client.PutObject(ctx, &oss.PutObjectRequest{Bucket: newBucket, Key: key, Body: strings.NewReader("x")})
			_, other := client.GetObject(ctx, &oss.GetObjectRequest{Bucket: newBucket, Key: key})
			if err = errors.Join(err, other); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	found, err := client.ListObjectsV2(ctx, &oss.ListObjectsV2Request{Bucket: newBucket, Prefix: oss.Ptr("many/")})
	rig.Must(t, err)
	rig.Equal(t, "objects", found.KeyCount, 64)
}

func TestAClientTriesAgainAndSetsItsClock(t *testing.T) {
	client := newClient(t, func(c *oss.Config) { c.WithRetryMaxAttempts(3) })
	rig.Fault(t, "ListBuckets", "error", map[string]any{"code": "ServiceUnavailable", "status": 503, "count": 2})
	_, err := client.ListBuckets(ctx, &oss.ListBucketsRequest{})
	rig.Must(t, err)
	t.Cleanup(func() { rig.Control(t, http.MethodPost, "clock", map[string]any{"skew_s": 0}) })
	rig.Control(t, http.MethodPost, "clock", map[string]any{"skew_s": 3600})
	_, err = client.ListBuckets(ctx, &oss.ListBucketsRequest{})
	rig.Must(t, err)
}
