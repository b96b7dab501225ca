// Package tea drives cloudsim with the newer SDKs (ACS3-HMAC-SHA256).
package tea

import (
	"errors"
	"strings"
	"testing"

	"clients/rig"

	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	ecs "github.com/alibabacloud-go/ecs-20140526/v7/client"
	"github.com/alibabacloud-go/tea/tea"
	vpc "github.com/alibabacloud-go/vpc-20160428/v6/client"
)

func ptr[T any](value T) *T { return &value }

func config(t *testing.T) *utils.Config {
	t.Helper()
	rig.Fresh(t)
	return &utils.Config{
		Endpoint: ptr(rig.Address(t)), Protocol: ptr("HTTP"), RegionId: ptr(rig.Region),
		AccessKeyId: ptr(rig.KeyID), AccessKeySecret: ptr(rig.Secret),
	}
}

func ecsClient(t *testing.T, change func(*utils.Config)) *ecs.Client {
	t.Helper()
	settings := config(t)
	change(settings)
	made, err := ecs.NewClient(settings)
	rig.Must(t, err)
	return made
}

func as(t *testing.T) *ecs.Client {
	t.Helper()
	return ecsClient(t, func(*utils.Config) {})
}

// refused fails the test unless the error is the service's, of this status and code.
func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var told *tea.SDKError
	if !errors.As(err, &told) {
		t.Fatalf("no error of the service, but %T %v", err, err)
	}
	rig.Equal(t, "the code", tea.StringValue(told.Code), code)
	rig.Equal(t, "the status", tea.IntValue(told.StatusCode), status)
	if !strings.Contains(tea.StringValue(told.Message), "request id: ") || !strings.Contains(tea.StringValue(told.Data), "HostId") {
		t.Errorf("the error tells no request or host: %v", told)
	}
}

func describe(t *testing.T, client *ecs.Client, ids ...string) []*ecs.DescribeDisksResponseBodyDisksDisk {
	t.Helper()
	found, err := client.DescribeDisks(&ecs.DescribeDisksRequest{
		RegionId: ptr(rig.Region), DiskIds: ptr(`["` + strings.Join(ids, `", "`) + `"]`), MaxResults: ptr(int32(100)),
	})
	rig.Must(t, err)
	return found.Body.Disks.Disk
}

func newDisk(t *testing.T, client *ecs.Client, name string) string {
	t.Helper()
	made, err := client.CreateDisk(&ecs.CreateDiskRequest{
		RegionId: ptr(rig.Region), ZoneId: ptr(rig.Zone), DiskCategory: ptr("cloud_auto"), Size: ptr(int32(40)),
		DiskName: ptr(name), ClientToken: ptr("n:" + name), BurstingEnabled: ptr(true), ProvisionedIops: ptr(int64(100)),
		Tag: []*ecs.CreateDiskRequestTag{{Key: ptr("csi.alibabacloud.com/volume-name"), Value: ptr(name)}},
	})
	rig.Must(t, err)
	return *made.Body.DiskId
}

func TestADiskThroughItsLife(t *testing.T) {
	client := as(t)
	id := newDisk(t, client, "pvc-1")
	rig.Equal(t, "the disk of the same token", newDisk(t, client, "pvc-1"), id)
	is := func(status string) func() bool {
		return func() bool {
			found := describe(t, client, id)
			return len(found) == 1 && *found[0].Status == status
		}
	}
	rig.Await(t, "the disk is available", is("Available"))
	disk := describe(t, client, id)[0]
	rig.Equal(t, "the size", *disk.Size, int32(40))
	rig.Equal(t, "whether it bursts", *disk.BurstingEnabled, true)
	rig.Equal(t, "provisioned IOPS", *disk.ProvisionedIops, int64(100))
	rig.Equal(t, "the tag", *disk.Tags.Tag[0].TagKey, "csi.alibabacloud.com/volume-name")
	_, err := client.AttachDisk(&ecs.AttachDiskRequest{DiskId: ptr(id), InstanceId: ptr(rig.Node1), DeleteWithInstance: ptr(false)})
	rig.Must(t, err)
	rig.Await(t, "the disk is in use", is("In_use"))
	rig.Equal(t, "the instance", *describe(t, client, id)[0].Attachments.Attachment[0].InstanceId, rig.Node1)
	_, err = client.AttachDisk(&ecs.AttachDiskRequest{DiskId: ptr(id), InstanceId: ptr("i-bp1doesnotexist00000")})
	refused(t, err, 404, "InvalidInstanceId.NotFound")
	_, err = client.DetachDisk(&ecs.DetachDiskRequest{DiskId: ptr(id), InstanceId: ptr(rig.Node1)})
	rig.Must(t, err)
	rig.Await(t, "the disk is available", is("Available"))
	changed, err := client.ModifyDiskSpec(&ecs.ModifyDiskSpecRequest{DiskId: ptr(id), ProvisionedIops: ptr(int64(200))})
	rig.Must(t, err)
	rig.Await(t, "the task is finished", func() bool {
		found, err := client.DescribeTasks(&ecs.DescribeTasksRequest{
			RegionId: ptr(rig.Region), ResourceIds: []*string{ptr(id)}, TaskAction: ptr("ModifyDiskSpec"), PageSize: ptr(int32(1)),
		})
		rig.Must(t, err)
		task := found.Body.TaskSet.Task[0]
		return *task.TaskId == *changed.Body.TaskId && *task.TaskStatus == "Finished"
	})
	_, err = client.DeleteDisk(&ecs.DeleteDiskRequest{DiskId: ptr(id)})
	rig.Must(t, err)
	rig.Await(t, "the disk is gone", func() bool { return len(describe(t, client, id)) == 0 })
}

func TestThePagesOfDisks(t *testing.T) {
	client := as(t)
	for n := range 12 {
		newDisk(t, client, string(rune('a'+n))+"-disk")
	}
	ask := &ecs.DescribeDisksRequest{RegionId: ptr(rig.Region), DiskType: ptr("data"), MaxResults: ptr(int32(10))}
	first, err := client.DescribeDisks(ask)
	rig.Must(t, err)
	rig.Equal(t, "the first page", len(first.Body.Disks.Disk), 10)
	ask.NextToken = first.Body.NextToken
	second, err := client.DescribeDisks(ask)
	rig.Must(t, err)
	rig.Equal(t, "the second page", len(second.Body.Disks.Disk), 2)
	rig.Equal(t, "the last token", *second.Body.NextToken, "")
	ask.Filter = []*ecs.DescribeDisksRequestFilter{{Key: ptr("CreationStartTime"), Value: ptr("2036-01-01T00:00Z")}}
	ask.NextToken = nil
	none, err := client.DescribeDisks(ask)
	rig.Must(t, err)
	rig.Equal(t, "disks made after 2036", len(none.Body.Disks.Disk), 0)
}

func TestAnInterfaceThroughItsLife(t *testing.T) {
	client := as(t)
	made, err := client.CreateNetworkInterface(&ecs.CreateNetworkInterfaceRequest{
		RegionId: ptr(rig.Region), VSwitchId: ptr(rig.VSwitch), SecurityGroupIds: []*string{ptr(rig.Group)},
		SecondaryPrivateIpAddressCount: ptr(int32(1)), ClientToken: ptr("token-1"), SourceDestCheck: ptr(false),
		Tag: []*ecs.CreateNetworkInterfaceRequestTag{{Key: ptr("creator"), Value: ptr("terway")}},
	})
	rig.Must(t, err)
	id := *made.Body.NetworkInterfaceId
	rig.Equal(t, "addresses", len(made.Body.PrivateIpSets.PrivateIpSet), 2)
	is := func(status string) func() bool {
		return func() bool {
			found, err := client.DescribeNetworkInterfaces(&ecs.DescribeNetworkInterfacesRequest{
				RegionId: ptr(rig.Region), NetworkInterfaceId: []*string{ptr(id)}, MaxResults: ptr(int32(500)),
				Tag: []*ecs.DescribeNetworkInterfacesRequestTag{{Key: ptr("creator"), Value: ptr("terway")}},
			})
			rig.Must(t, err)
			sets := found.Body.NetworkInterfaceSets.NetworkInterfaceSet
			return len(sets) == 1 && *sets[0].Status == status
		}
	}
	rig.Await(t, "the interface is available", is("Available"))
	_, err = client.AttachNetworkInterface(&ecs.AttachNetworkInterfaceRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id), InstanceId: ptr(rig.Node1),
	})
	rig.Must(t, err)
	rig.Await(t, "the interface is in use", is("InUse"))
	assigned, err := client.AssignPrivateIpAddresses(&ecs.AssignPrivateIpAddressesRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id), Ipv4PrefixCount: ptr(int32(1)), ClientToken: ptr("token-2"),
	})
	rig.Must(t, err)
	prefixes := assigned.Body.AssignedPrivateIpAddressesSet.Ipv4PrefixSet.Ipv4Prefixes
	rig.Equal(t, "prefixes", len(prefixes), 1)
	_, err = client.UnassignPrivateIpAddresses(&ecs.UnassignPrivateIpAddressesRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id), Ipv4Prefix: prefixes,
	})
	rig.Must(t, err)
	told, err := client.DescribeNetworkInterfaceAttribute(&ecs.DescribeNetworkInterfaceAttributeRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id),
	})
	rig.Must(t, err)
	rig.Equal(t, "the instance", *told.Body.InstanceId, rig.Node1)
	_, err = client.DetachNetworkInterface(&ecs.DetachNetworkInterfaceRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id), InstanceId: ptr(rig.Node1),
	})
	rig.Must(t, err)
	rig.Await(t, "the interface is available", is("Available"))
	_, err = client.DeleteNetworkInterface(&ecs.DeleteNetworkInterfaceRequest{RegionId: ptr(rig.Region), NetworkInterfaceId: ptr(id)})
	rig.Must(t, err)
	_, err = client.DetachNetworkInterface(&ecs.DetachNetworkInterfaceRequest{
		RegionId: ptr(rig.Region), NetworkInterfaceId: ptr("eni-doesnotexist"), InstanceId: ptr(rig.Node1),
	})
	refused(t, err, 404, "InvalidEniId.NotFound")
}

func TestVSwitchesAndTypes(t *testing.T) {
	client, err := vpc.NewClient(config(t))
	rig.Must(t, err)
	found, err := client.DescribeVSwitches(&vpc.DescribeVSwitchesRequest{RegionId: ptr(rig.Region), VSwitchId: ptr(rig.VSwitch)})
	rig.Must(t, err)
	rig.Equal(t, "the zone", *found.Body.VSwitches.VSwitch[0].ZoneId, rig.Zone)
	one, err := client.DescribeVSwitchAttributes(&vpc.DescribeVSwitchAttributesRequest{RegionId: ptr(rig.Region), VSwitchId: ptr(rig.VSwitch)})
	rig.Must(t, err)
	rig.Equal(t, "the VPC", *one.Body.VpcId, rig.VPC)
	types, err := as(t).DescribeInstanceTypes(&ecs.DescribeInstanceTypesRequest{InstanceTypes: []*string{ptr("ecs.g7.large")}})
	rig.Must(t, err)
	rig.Equal(t, "interfaces", *types.Body.InstanceTypes.InstanceType[0].EniQuantity, int32(3))
}

func TestTheErrorsOfTheService(t *testing.T) {
	client := ecsClient(t, func(c *utils.Config) { c.AccessKeySecret = ptr("wrong") })
	_, err := client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	refused(t, err, 400, "SignatureDoesNotMatch")
	client = ecsClient(t, func(c *utils.Config) { c.AccessKeyId = ptr("LTAIunknown") })
	_, err = client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	refused(t, err, 404, "InvalidAccessKeyId.NotFound")
	client = as(t)
	_, err = client.DescribeDisks(&ecs.DescribeDisksRequest{RegionId: ptr("cn-nowhere")})
	refused(t, err, 404, "InvalidRegionId.NotFound")
	rig.Fault(t, "DescribeRegions", "error", map[string]any{"code": "Throttling.User", "status": 400, "count": 1})
	_, err = client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	refused(t, err, 400, "Throttling.User")
	rig.Fault(t, "DescribeRegions", "error", map[string]any{
		"code": "Throttling.User", "status": 429, "count": 1, "headers": map[string]string{"x-acs-retry-after": "100"},
	})
	_, err = client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	refused(t, err, 429, "Throttling.User")
	rig.Fault(t, "DescribeRegions", "error", map[string]any{"code": "InternalError", "status": 500, "count": 1})
	_, err = client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	refused(t, err, 500, "InternalError")
}

func TestTheOlderSignatureOfTheNewerSDK(t *testing.T) {
	client := ecsClient(t, func(c *utils.Config) { c.SignatureAlgorithm = ptr("v2") })
	found, err := client.DescribeRegions(&ecs.DescribeRegionsRequest{})
	rig.Must(t, err)
	rig.Equal(t, "the region", *found.Body.Regions.Region[0].RegionId, rig.Region)
}
