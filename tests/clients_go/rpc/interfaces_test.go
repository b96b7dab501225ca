package rpc

import (
	"slices"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
)

func createInterface(token string) *ecs.CreateNetworkInterfaceRequest {
	ask := ecs.CreateCreateNetworkInterfaceRequest()
	ask.RegionId, ask.VSwitchId, ask.ClientToken = rig.Region, rig.VSwitch, token
	ask.SecurityGroupIds = &[]string{rig.Group}
	ask.Description = "interface create by terway"
	ask.SecondaryPrivateIpAddressCount = number(2)
	ask.Tag = &[]ecs.CreateNetworkInterfaceTag{{Key: "creator", Value: "terway"}}
	return ask
}

func interfaces(t *testing.T, client *ecs.Client, ids ...string) []ecs.NetworkInterfaceSet {
	t.Helper()
	ask := ecs.CreateDescribeNetworkInterfacesRequest()
	ask.RegionId, ask.NetworkInterfaceId = rig.Region, &ids
	found, err := client.DescribeNetworkInterfaces(ask)
	rig.Must(t, err)
	typed(t, found, ecs.CreateDescribeNetworkInterfacesResponse())
	return found.NetworkInterfaceSets.NetworkInterfaceSet
}

func awaitInterface(t *testing.T, client *ecs.Client, id, status string) ecs.NetworkInterfaceSet {
	t.Helper()
	var last ecs.NetworkInterfaceSet
	rig.Await(t, id+" is "+status, func() bool {
		found := interfaces(t, client, id)
		if len(found) == 1 {
			last = found[0]
		}
		return last.Status == status
	})
	return last
}

// attachedInterface is the id of a new interface on the first node.
func attachedInterface(t *testing.T, client *ecs.Client, ask *ecs.CreateNetworkInterfaceRequest) string {
	t.Helper()
	made, err := client.CreateNetworkInterface(ask)
	rig.Must(t, err)
	typed(t, made, ecs.CreateCreateNetworkInterfaceResponse())
	awaitInterface(t, client, made.NetworkInterfaceId, "Available")
	attach := ecs.CreateAttachNetworkInterfaceRequest()
	attach.RegionId, attach.NetworkInterfaceId, attach.InstanceId = rig.Region, made.NetworkInterfaceId, rig.Node1
	attached, err := client.AttachNetworkInterface(attach)
	rig.Must(t, err)
	typed(t, attached, ecs.CreateAttachNetworkInterfaceResponse())
	awaitInterface(t, client, made.NetworkInterfaceId, "InUse")
	return made.NetworkInterfaceId
}

func TestAnInterfaceThroughItsLife(t *testing.T) {
	client := fresh(t)
	made, err := client.CreateNetworkInterface(createInterface("token-1"))
	rig.Must(t, err)
	again, err := client.CreateNetworkInterface(createInterface("token-1"))
	rig.Must(t, err)
	rig.Equal(t, "the interface of the same token", again.NetworkInterfaceId, made.NetworkInterfaceId)
	rig.Equal(t, "the number of addresses", len(made.PrivateIpSets.PrivateIpSet), 3)
	rig.Equal(t, "the group", made.SecurityGroupIds.SecurityGroupId[0], rig.Group)

	id := attachedInterface(t, client, createInterface("token-1"))
	rig.Equal(t, "the interface", id, made.NetworkInterfaceId)
	assign := ecs.CreateAssignPrivateIpAddressesRequest()
	assign.RegionId, assign.NetworkInterfaceId = rig.Region, id
	assign.SecondaryPrivateIpAddressCount, assign.ClientToken = number(2), "token-2"
	assigned, err := client.AssignPrivateIpAddresses(assign)
	rig.Must(t, err)
	typed(t, assigned, ecs.CreateAssignPrivateIpAddressesResponse())
	news := assigned.AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress
	rig.Equal(t, "new addresses", len(news), 2)
	replayed, err := client.AssignPrivateIpAddresses(assign)
	rig.Must(t, err)
	if !slices.Equal(replayed.AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress, news) {
		t.Error("the same token gave other addresses")
	}
	assign.ClientToken = "token-3"
	_, err = client.AssignPrivateIpAddresses(assign)
	refused(t, err, 403, "InvalidOperation.Ipv4CountExceeded")

	unassign := ecs.CreateUnassignPrivateIpAddressesRequest()
	unassign.RegionId, unassign.NetworkInterfaceId, unassign.PrivateIpAddress = rig.Region, id, &news
	gone, err := client.UnassignPrivateIpAddresses(unassign)
	rig.Must(t, err)
	typed(t, gone, ecs.CreateUnassignPrivateIpAddressesResponse())
	_, err = client.UnassignPrivateIpAddresses(unassign)
	refused(t, err, 403, "InvalidIp.IpUnassigned")

	one := ecs.CreateDescribeNetworkInterfaceAttributeRequest()
	one.RegionId, one.NetworkInterfaceId = rig.Region, id
	told, err := client.DescribeNetworkInterfaceAttribute(one)
	rig.Must(t, err)
	typed(t, told, ecs.CreateDescribeNetworkInterfaceAttributeResponse())
	rig.Equal(t, "the instance", told.InstanceId, rig.Node1)

	remove := ecs.CreateDeleteNetworkInterfaceRequest()
	remove.RegionId, remove.NetworkInterfaceId = rig.Region, id
	_, err = client.DeleteNetworkInterface(remove)
	refused(t, err, 400, "InvalidOperation.InvalidEniState")
	detach := ecs.CreateDetachNetworkInterfaceRequest()
	detach.RegionId, detach.NetworkInterfaceId, detach.InstanceId = rig.Region, id, rig.Node1
	detached, err := client.DetachNetworkInterface(detach)
	rig.Must(t, err)
	typed(t, detached, ecs.CreateDetachNetworkInterfaceResponse())
	awaitInterface(t, client, id, "Available")
	removed, err := client.DeleteNetworkInterface(remove)
	rig.Must(t, err)
	typed(t, removed, ecs.CreateDeleteNetworkInterfaceResponse())
	rig.Await(t, "the interface is gone", func() bool { return len(interfaces(t, client, id)) == 0 })
	attach := ecs.CreateAttachNetworkInterfaceRequest()
	attach.RegionId, attach.NetworkInterfaceId, attach.InstanceId = rig.Region, id, rig.Node1
	_, err = client.AttachNetworkInterface(attach)
	refused(t, err, 404, "InvalidEniId.NotFound")
}

func TestInterfacesAreFoundAndPaged(t *testing.T) {
	client := fresh(t)
	for n := range 12 {
		_, err := client.CreateNetworkInterface(createInterface(string(rune('a' + n))))
		rig.Must(t, err)
	}
	// A request keeps what it once sent, so each kind needs one of its own.
	request := func() *ecs.DescribeNetworkInterfacesRequest {
		made := ecs.CreateDescribeNetworkInterfacesRequest()
		made.RegionId, made.Type = rig.Region, "Secondary"
		made.Tag = &[]ecs.DescribeNetworkInterfacesTag{{Key: "creator", Value: "terway"}}
		return made
	}
	ask := request()
	ask.MaxResults = number(10)
	seen := 0
	for {
		found, err := client.DescribeNetworkInterfaces(ask)
		rig.Must(t, err)
		typed(t, found, ecs.CreateDescribeNetworkInterfacesResponse())
		seen += len(found.NetworkInterfaceSets.NetworkInterfaceSet)
		if found.NextToken == "" {
			break
		}
		ask.NextToken = found.NextToken
	}
	rig.Equal(t, "interfaces by token", seen, 12)
	ask = request()
	ask.MaxResults = number(500)
	found, err := client.DescribeNetworkInterfaces(ask)
	rig.Must(t, err)
	rig.Equal(t, "interfaces in one page", len(found.NetworkInterfaceSets.NetworkInterfaceSet), 12)
	ask = request()
	ask.PageSize, ask.PageNumber = number(10), number(2)
	found, err = client.DescribeNetworkInterfaces(ask)
	rig.Must(t, err)
	rig.Equal(t, "interfaces of page two", len(found.NetworkInterfaceSets.NetworkInterfaceSet), 2)
	rig.Equal(t, "the count", found.TotalCount, 12)
}

func TestPrefixes(t *testing.T) {
	client := fresh(t)
	ask := createInterface("token-1")
	ask.SecondaryPrivateIpAddressCount = ""
	id := attachedInterface(t, client, ask)
	assign := ecs.CreateAssignPrivateIpAddressesRequest()
	assign.RegionId, assign.NetworkInterfaceId, assign.Ipv4PrefixCount = rig.Region, id, number(2)
	assigned, err := client.AssignPrivateIpAddresses(assign)
	rig.Must(t, err)
	typed(t, assigned, ecs.CreateAssignPrivateIpAddressesResponse())
	news := assigned.AssignedPrivateIpAddressesSet.Ipv4PrefixSet.Ipv4Prefixes
	rig.Equal(t, "new prefixes", len(news), 2)
	told := awaitInterface(t, client, id, "InUse")
	rig.Equal(t, "prefixes of the interface", len(told.Ipv4PrefixSets.Ipv4PrefixSet), 2)
	unassign := ecs.CreateUnassignPrivateIpAddressesRequest()
	unassign.RegionId, unassign.NetworkInterfaceId, unassign.Ipv4Prefix = rig.Region, id, &news
	_, err = client.UnassignPrivateIpAddresses(unassign)
	rig.Must(t, err)
}

func TestIPv6AddressesAndPrefixes(t *testing.T) {
	client := fresh(t)
	create := createInterface("token-1")
	create.Ipv6AddressCount = number(1)
	id := attachedInterface(t, client, create)
	rig.Equal(t, "IPv6 addresses", len(awaitInterface(t, client, id, "InUse").Ipv6Sets.Ipv6Set), 1)
	ask := ecs.CreateAssignIpv6AddressesRequest()
	ask.RegionId, ask.NetworkInterfaceId, ask.Ipv6AddressCount, ask.ClientToken = rig.Region, id, number(2), "token-2"
	assigned, err := client.AssignIpv6Addresses(ask)
	rig.Must(t, err)
	typed(t, assigned, ecs.CreateAssignIpv6AddressesResponse())
	news := assigned.Ipv6Sets.Ipv6Address
	rig.Equal(t, "new IPv6 addresses", len(news), 2)
	again, err := client.AssignIpv6Addresses(ask)
	rig.Must(t, err)
	if !slices.Equal(again.Ipv6Sets.Ipv6Address, news) {
		t.Error("the same token gave other addresses")
	}
	many := ecs.CreateAssignIpv6AddressesRequest()
	many.RegionId, many.NetworkInterfaceId, many.Ipv6AddressCount = rig.Region, id, number(9)
	_, err = client.AssignIpv6Addresses(many)
	refused(t, err, 403, "InvalidOperation.Ipv6CountExceeded")
	remove := ecs.CreateUnassignIpv6AddressesRequest()
	remove.RegionId, remove.NetworkInterfaceId, remove.Ipv6Address = rig.Region, id, &news
	removed, err := client.UnassignIpv6Addresses(remove)
	rig.Must(t, err)
	typed(t, removed, ecs.CreateUnassignIpv6AddressesResponse())

	empty := createInterface("token-3")
	empty.SecondaryPrivateIpAddressCount = ""
	bare, err := client.CreateNetworkInterface(empty)
	rig.Must(t, err)
	awaitInterface(t, client, bare.NetworkInterfaceId, "Available")
	prefix := ecs.CreateAssignIpv6AddressesRequest()
	prefix.RegionId, prefix.NetworkInterfaceId, prefix.Ipv6PrefixCount = rig.Region, bare.NetworkInterfaceId, number(1)
	given, err := client.AssignIpv6Addresses(prefix)
	rig.Must(t, err)
	typed(t, given, ecs.CreateAssignIpv6AddressesResponse())
	rig.Equal(t, "new IPv6 prefixes", len(given.Ipv6PrefixSets.Ipv6Prefix), 1)
	back := ecs.CreateUnassignIpv6AddressesRequest()
	back.RegionId, back.NetworkInterfaceId = rig.Region, bare.NetworkInterfaceId
	back.Ipv6Prefix = &given.Ipv6PrefixSets.Ipv6Prefix
	_, err = client.UnassignIpv6Addresses(back)
	rig.Must(t, err)
}

func TestAMemberOfATrunk(t *testing.T) {
	client := fresh(t)
	trunk := createInterface("token-1")
	trunk.InstanceType, trunk.SecondaryPrivateIpAddressCount = "Trunk", ""
	trunkID := attachedInterface(t, client, trunk)
	member := createInterface("token-2")
	member.SecondaryPrivateIpAddressCount = ""
	made, err := client.CreateNetworkInterface(member)
	rig.Must(t, err)
	awaitInterface(t, client, made.NetworkInterfaceId, "Available")
	attach := ecs.CreateAttachNetworkInterfaceRequest()
	attach.RegionId, attach.NetworkInterfaceId = rig.Region, made.NetworkInterfaceId
	attach.InstanceId, attach.TrunkNetworkInstanceId = rig.Node1, trunkID
	_, err = client.AttachNetworkInterface(attach)
	rig.Must(t, err)
	told := awaitInterface(t, client, made.NetworkInterfaceId, "InUse")
	rig.Equal(t, "the type", told.Type, "Member")
	rig.Equal(t, "the trunk", told.Attachment.TrunkNetworkInterfaceId, trunkID)
	if told.Attachment.DeviceIndex == 0 {
		t.Error("the member has no VLAN id")
	}
	detach := ecs.CreateDetachNetworkInterfaceRequest()
	detach.RegionId, detach.NetworkInterfaceId = rig.Region, made.NetworkInterfaceId
	detach.InstanceId, detach.TrunkNetworkInstanceId = rig.Node1, trunkID
	_, err = client.DetachNetworkInterface(detach)
	rig.Must(t, err)
	awaitInterface(t, client, made.NetworkInterfaceId, "Available")
}
