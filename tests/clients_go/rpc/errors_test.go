package rpc

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
)

func TestAWrongSecretIsRecognizedByTheSDK(t *testing.T) {
	rig.Fresh(t)
	client := ecsClient(t, credentials.NewAccessKeyCredential(rig.KeyID, "wrong"))
	_, err := client.DescribeRegions(ecs.CreateDescribeRegionsRequest())
	told := refused(t, err, 400, "SignatureDoesNotMatch")
	rig.Equal(t, "the advice", told.Recommend(), "InvalidAccessKeySecret: Please check you AccessKeySecret")
}

func TestAnUnknownKeyIsRefused(t *testing.T) {
	rig.Fresh(t)
	client := ecsClient(t, credentials.NewAccessKeyCredential("LTAIunknown", "x"))
	_, err := client.DescribeRegions(ecs.CreateDescribeRegionsRequest())
	refused(t, err, 404, "InvalidAccessKeyId.NotFound")
}

func TestRequestsByGetAreServed(t *testing.T) {
	client := fresh(t)
	ask := ecs.CreateDescribeRegionsRequest()
	ask.Method = requests.GET
	found, err := client.DescribeRegions(ask)
	rig.Must(t, err)
	typed(t, found, ecs.CreateDescribeRegionsResponse())
	rig.Equal(t, "the region", found.Regions.Region[0].RegionId, rig.Region)
}

func TestParametersInTheBodyAreServed(t *testing.T) {
	client := fresh(t)
	ask := requests.NewCommonRequest()
	ask.Method, ask.Product, ask.Version, ask.ApiName = "POST", "Ecs", "2014-05-26", "DescribeInstances"
	ask.Domain = rig.Address(t)
	ask.QueryParams["RegionId"] = rig.Region
	ask.FormParams["InstanceIds"] = `["` + rig.Node1 + `"]`
	answer, err := client.ProcessCommonRequest(ask)
	rig.Must(t, err)
	found := ecs.CreateDescribeInstancesResponse()
	rig.Typed(t, answer.GetHttpContentBytes(), found)
	rig.Equal(t, "the instance", found.Instances.Instance[0].InstanceId, rig.Node1)
}

func TestThrottlingAndTroublesAreTheServersErrors(t *testing.T) {
	client := fresh(t)
	ask := ecs.CreateDescribeRegionsRequest()
	for _, row := range []struct {
		code   string
		status int
	}{{"Throttling.User", 400}, {"ServiceUnavailable", 503}} {
		rig.Fault(t, "DescribeRegions", "error", map[string]any{"code": row.code, "status": row.status, "count": 1})
		_, err := client.DescribeRegions(ask)
		refused(t, err, row.status, row.code)
	}
}

func TestAnAnswerThatComesTooLateIsATimeOut(t *testing.T) {
	client := fresh(t)
	rig.Fault(t, "DescribeRegions", "notify", nil)
	ask := ecs.CreateDescribeRegionsRequest()
	ask.SetReadTimeout(200 * time.Millisecond)
	_, err := client.DescribeRegions(ask)
	var told *sdkerrors.ServerError
	if err == nil || errors.As(err, &told) {
		t.Fatalf("no time-out, but %v", err)
	}
}

func TestAMissingPermissionIsToldInDetail(t *testing.T) {
	client := fresh(t)
	rig.Control(t, http.MethodPost, "ram", map[string]any{"users": []any{map[string]any{
		"user_name": "simulated", "user_id": "200000000000000001",
		"policies": []any{map[string]any{"Version": "1", "Statement": []any{
			map[string]any{"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"},
		}}},
	}}})
	_, err := client.DescribeRegions(ecs.CreateDescribeRegionsRequest())
	rig.Must(t, err)
	_, err = client.CreateDisk(createDisk("pvc-1"))
	told := refused(t, err, 403, "Forbidden.RAM")
	rig.Equal(t, "what is missing", told.AccessDeniedDetail()["AuthAction"].(string), "ecs:CreateDisk")
}
