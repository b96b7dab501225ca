package rpc

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

const role = "acs:ram::" + rig.Account + ":role/csi-admin"

func TestVSwitchesAndRoutes(t *testing.T) {
	client := vpcClient(t)
	ask := vpc.CreateDescribeVSwitchesRequest()
	ask.RegionId, ask.VSwitchId = rig.Region, rig.VSwitch
	found, err := client.DescribeVSwitches(ask)
	rig.Must(t, err)
	typed(t, found, vpc.CreateDescribeVSwitchesResponse())
	rig.Equal(t, "vSwitches", len(found.VSwitches.VSwitch), 1)
	rig.Equal(t, "the zone", found.VSwitches.VSwitch[0].ZoneId, rig.Zone)
	rig.Equal(t, "free addresses", found.VSwitches.VSwitch[0].AvailableIpAddressCount, int64(252))
	unknown := vpc.CreateDescribeVSwitchesRequest()
	unknown.RegionId, unknown.VSwitchId = rig.Region, "vsw-doesnotexist"
	found, err = client.DescribeVSwitches(unknown)
	rig.Must(t, err)
	rig.Equal(t, "unknown vSwitches", len(found.VSwitches.VSwitch), 0)
	pages := vpc.CreateDescribeVSwitchesRequest()
	pages.RegionId, pages.VpcId, pages.PageSize, pages.PageNumber = rig.Region, rig.VPC, number(3), number(2)
	found, err = client.DescribeVSwitches(pages)
	rig.Must(t, err)
	rig.Equal(t, "vSwitches on page two", len(found.VSwitches.VSwitch), 1)
	rig.Equal(t, "the count", found.TotalCount, 4)

	all := vpc.CreateDescribeVpcsRequest()
	all.RegionId = rig.Region
	vpcs, err := client.DescribeVpcs(all)
	rig.Must(t, err)
	typed(t, vpcs, vpc.CreateDescribeVpcsResponse())
	tables := vpc.CreateDescribeRouteTableListRequest()
	tables.RegionId, tables.VpcId = rig.Region, rig.VPC
	told, err := client.DescribeRouteTableList(tables)
	rig.Must(t, err)
	typed(t, told, vpc.CreateDescribeRouteTableListResponse())
	entries := vpc.CreateDescribeRouteEntryListRequest()
	entries.RegionId = rig.Region
	entries.RouteTableId = told.RouterTableList.RouterTableListType[0].RouteTableId
	routes, err := client.DescribeRouteEntryList(entries)
	rig.Must(t, err)
	typed(t, routes, vpc.CreateDescribeRouteEntryListResponse())
}

func TestAssumedRolesWork(t *testing.T) {
	client := stsClient(t)
	who, err := client.GetCallerIdentity(sts.CreateGetCallerIdentityRequest())
	rig.Must(t, err)
	typed(t, who, sts.CreateGetCallerIdentityResponse())
	rig.Equal(t, "the account", who.AccountId, rig.Account)

	ask := sts.CreateAssumeRoleRequest()
	ask.RoleArn, ask.RoleSessionName, ask.DurationSeconds = role, "session-1", number(900)
	given, err := client.AssumeRole(ask)
	rig.Must(t, err)
	typed(t, given, sts.CreateAssumeRoleResponse())
	ends, err := time.Parse(time.RFC3339, given.Credentials.Expiration)
	rig.Must(t, err)
	if left := time.Until(ends); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the credentials live %v", left)
	}
	with := credentials.NewStsTokenCredential(
		given.Credentials.AccessKeyId, given.Credentials.AccessKeySecret, given.Credentials.SecurityToken)
	_, err = ecsClient(t, with).DescribeRegions(ecs.CreateDescribeRegionsRequest())
	rig.Must(t, err)
	wrong := credentials.NewStsTokenCredential(
		given.Credentials.AccessKeyId, given.Credentials.AccessKeySecret, "no token")
	_, err = ecsClient(t, wrong).DescribeRegions(ecs.CreateDescribeRegionsRequest())
	if err == nil {
		t.Error("a token that is none was taken")
	}
	ask.RoleArn = "acs:ram::" + rig.Account + ":role/nobody"
	_, err = client.AssumeRole(ask)
	refused(t, err, 404, "EntityNotExist.Role")
}

func TestServiceAccountsAssumeRoles(t *testing.T) {
	rig.Fresh(t)
	token := func(subject string) string {
		now := time.Now().Unix()
		text, err := json.Marshal(map[string]any{
			"iss": "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/sim",
			"sub": subject, "aud": []string{"sts.aliyuncs.com"}, "iat": now, "exp": now + 3600,
		})
		rig.Must(t, err)
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(text) + ".x"
	}
	call := func(subject string) (int, map[string]any) {
		// Unsigned: the SDK has no client for it that sends no signature.
		query := url.Values{
			"Action": {"AssumeRoleWithOIDC"}, "Version": {"2015-04-01"}, "Format": {"JSON"}, "RoleArn": {role},
			"OIDCProviderArn": {"acs:ram::" + rig.Account + ":oidc-provider/ack-rrsa-sim"},
			"OIDCToken":       {token(subject)}, "RoleSessionName": {"session-1"},
			"Timestamp": {time.Now().UTC().Format(time.RFC3339)},
		}
		response, err := http.PostForm("http://"+rig.Address(t)+"/", query)
		rig.Must(t, err)
		defer response.Body.Close()
		answer := map[string]any{}
		rig.Must(t, json.NewDecoder(response.Body).Decode(&answer))
		return response.StatusCode, answer
	}
	status, answer := call("system:serviceaccount:kube-system:csi")
	rig.Equal(t, "the status", status, 200)
	given := answer["Credentials"].(map[string]any)
	with := credentials.NewStsTokenCredential(
		given["AccessKeyId"].(string), given["AccessKeySecret"].(string), given["SecurityToken"].(string))
	_, err := ecsClient(t, with).DescribeRegions(ecs.CreateDescribeRegionsRequest())
	rig.Must(t, err)
	status, answer = call("system:serviceaccount:default:web")
	rig.Equal(t, "the status", status, 400)
	rig.Equal(t, "the code", answer["Code"].(string), "AuthenticationFail.NoPermission")
}
