// Package rpc drives cloudsim with the RPC-style SDK (HMAC-SHA1), as the existing plug-ins do.
package rpc

import (
	"errors"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nas"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

func config() *sdk.Config {
	return sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false)
}

func key() auth.Credential {
	return credentials.NewAccessKeyCredential(rig.KeyID, rig.Secret)
}

func ecsClient(t *testing.T, credential auth.Credential) *ecs.Client {
	t.Helper()
	made, err := ecs.NewClientWithOptions(rig.Region, config(), credential)
	rig.Must(t, err)
	made.Domain = rig.Address(t)
	return made
}

// fresh is an ECS client of a cloudsim in its first state.
func fresh(t *testing.T) *ecs.Client {
	t.Helper()
	rig.Fresh(t)
	return ecsClient(t, key())
}

func nasClient(t *testing.T) *nas.Client {
	t.Helper()
	rig.Fresh(t)
	made, err := nas.NewClientWithOptions(rig.Region, config(), key())
	rig.Must(t, err)
	made.Domain = rig.Address(t)
	return made
}

func vpcClient(t *testing.T) *vpc.Client {
	t.Helper()
	rig.Fresh(t)
	made, err := vpc.NewClientWithOptions(rig.Region, config(), key())
	rig.Must(t, err)
	made.Domain = rig.Address(t)
	return made
}

func stsClient(t *testing.T) *sts.Client {
	t.Helper()
	rig.Fresh(t)
	made, err := sts.NewClientWithOptions(rig.Region, config(), key())
	rig.Must(t, err)
	made.Domain = rig.Address(t)
	return made
}

// refused fails the test unless the error is the server's, of this status and code.
func refused(t *testing.T, err error, status int, code string) *sdkerrors.ServerError {
	t.Helper()
	var told *sdkerrors.ServerError
	if !errors.As(err, &told) {
		t.Fatalf("no error of the server, but %v", err)
	}
	rig.Equal(t, "the code", told.ErrorCode(), code)
	rig.Equal(t, "the status", told.HttpStatus(), status)
	if told.RequestId() == "" || told.Message() == "" || told.HostId() == "" {
		t.Errorf("the error tells no request, message or host: %v", told)
	}
	return told
}

// typed compares the types of an answer's fields with those of the SDK's own model.
func typed(t *testing.T, answer responses.AcsResponse, model any) {
	t.Helper()
	rig.Typed(t, answer.GetHttpContentBytes(), model)
}

func number(n int) requests.Integer { return requests.NewInteger(n) }
func yes() requests.Boolean         { return requests.NewBoolean(true) }
