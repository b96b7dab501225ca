package rpc

import (
	"encoding/json"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
)

// attachedDisk is the id of a disk that is In_use: one that was never used has no snapshot.
func attachedDisk(t *testing.T, client *ecs.Client, name string) string {
	t.Helper()
	id := newDisk(t, client, name)
	attach := ecs.CreateAttachDiskRequest()
	attach.DiskId, attach.InstanceId = id, rig.Node1
	_, err := client.AttachDisk(attach)
	rig.Must(t, err)
	awaitDisk(t, client, id, "In_use")
	return id
}

func snapshots(t *testing.T, client *ecs.Client, ids ...string) []ecs.Snapshot {
	t.Helper()
	text, err := json.Marshal(ids)
	rig.Must(t, err)
	ask := ecs.CreateDescribeSnapshotsRequest()
	ask.RegionId, ask.SnapshotIds = rig.Region, string(text)
	found, err := client.DescribeSnapshots(ask)
	rig.Must(t, err)
	typed(t, found, ecs.CreateDescribeSnapshotsResponse())
	return found.Snapshots.Snapshot
}

func TestASnapshotThroughItsLife(t *testing.T) {
	client := fresh(t)
	disk := attachedDisk(t, client, "pvc-1")
	ask := ecs.CreateCreateSnapshotRequest()
	ask.DiskId, ask.SnapshotName, ask.ClientToken, ask.RetentionDays = disk, "snap-1", "n:snap-1", number(7)
	ask.Tag = &[]ecs.CreateSnapshotTag{{Key: "force.delete.snapshot.k8s.aliyun.com", Value: "true"}}
	made, err := client.CreateSnapshot(ask)
	rig.Must(t, err)
	typed(t, made, ecs.CreateCreateSnapshotResponse())
	again, err := client.CreateSnapshot(ask)
	rig.Must(t, err)
	rig.Equal(t, "the snapshot of the same token", again.SnapshotId, made.SnapshotId)
	rig.Await(t, "the snapshot is available", func() bool {
		found := snapshots(t, client, made.SnapshotId)
		return len(found) == 1 && found[0].Available && found[0].CreationTime != ""
	})
	found := snapshots(t, client, made.SnapshotId)[0]
	rig.Equal(t, "the disk", found.SourceDiskId, disk)
	rig.Equal(t, "the size", found.SourceDiskSize, "20")

	restore := createDisk("pvc-2")
	restore.SnapshotId = made.SnapshotId
	restored, err := client.CreateDisk(restore)
	rig.Must(t, err)
	awaitDisk(t, client, restored.DiskId, "Available")

	remove := ecs.CreateDeleteSnapshotRequest()
	remove.SnapshotId, remove.Force = made.SnapshotId, yes()
	gone, err := client.DeleteSnapshot(remove)
	rig.Must(t, err)
	typed(t, gone, ecs.CreateDeleteSnapshotResponse())
	rig.Await(t, "the snapshot is gone", func() bool { return len(snapshots(t, client, made.SnapshotId)) == 0 })
	_, err = client.DeleteSnapshot(remove)
	refused(t, err, 404, "InvalidSnapshotId.NotFound")
	restore.ClientToken = "n:pvc-3"
	_, err = client.CreateDisk(restore)
	refused(t, err, 404, "InvalidSnapshotId.NotFound")
}

func TestSnapshotsArePagedByTokenAndFoundByDiskAndTag(t *testing.T) {
	client := fresh(t)
	disk := attachedDisk(t, client, "pvc-1")
	for range 12 {
		ask := ecs.CreateCreateSnapshotRequest()
		ask.DiskId = disk
		ask.Tag = &[]ecs.CreateSnapshotTag{{Key: "ack.aliyun.com", Value: "c1"}}
		made, err := client.CreateSnapshot(ask)
		rig.Must(t, err)
		rig.Await(t, "the snapshot is available", func() bool {
			found := snapshots(t, client, made.SnapshotId)
			return len(found) == 1 && found[0].Available
		})
	}
	ask := ecs.CreateDescribeSnapshotsRequest()
	ask.RegionId, ask.DiskId, ask.MaxResults = rig.Region, disk, number(10)
	ask.Tag = &[]ecs.DescribeSnapshotsTag{{Key: "ack.aliyun.com", Value: "c1"}}
	first, err := client.DescribeSnapshots(ask)
	rig.Must(t, err)
	rig.Equal(t, "the first page", len(first.Snapshots.Snapshot), 10)
	ask.NextToken = first.NextToken
	second, err := client.DescribeSnapshots(ask)
	rig.Must(t, err)
	rig.Equal(t, "the second page", len(second.Snapshots.Snapshot), 2)
	rig.Equal(t, "the last token", second.NextToken, "")
}

func TestAGroupOfSnapshots(t *testing.T) {
	client := fresh(t)
	disks := []string{attachedDisk(t, client, "pvc-1"), attachedDisk(t, client, "pvc-2")}
	ask := ecs.CreateCreateSnapshotGroupRequest()
	ask.RegionId, ask.Name, ask.DiskId = rig.Region, "group-1", &disks
	made, err := client.CreateSnapshotGroup(ask)
	rig.Must(t, err)
	typed(t, made, ecs.CreateCreateSnapshotGroupResponse())
	list := ecs.CreateDescribeSnapshotGroupsRequest()
	list.RegionId, list.SnapshotGroupId = rig.Region, &[]string{made.SnapshotGroupId}
	rig.Await(t, "the group is accomplished", func() bool {
		found, err := client.DescribeSnapshotGroups(list)
		rig.Must(t, err)
		typed(t, found, ecs.CreateDescribeSnapshotGroupsResponse())
		groups := found.SnapshotGroups.SnapshotGroup
		return len(groups) == 1 && groups[0].Status == "accomplished" && len(groups[0].Snapshots.Snapshot) == 2
	})
	remove := ecs.CreateDeleteSnapshotGroupRequest()
	remove.RegionId, remove.SnapshotGroupId = rig.Region, made.SnapshotGroupId
	gone, err := client.DeleteSnapshotGroup(remove)
	rig.Must(t, err)
	typed(t, gone, ecs.CreateDeleteSnapshotGroupResponse())
}

func TestInstancesAndTheirTypes(t *testing.T) {
	client := fresh(t)
	ask := ecs.CreateDescribeInstancesRequest()
	ask.RegionId, ask.InstanceIds = rig.Region, `["`+rig.Node1+`", "i-bp1doesnotexist00000"]`
	found, err := client.DescribeInstances(ask)
	rig.Must(t, err)
	typed(t, found, ecs.CreateDescribeInstancesResponse())
	rig.Equal(t, "instances that are there", len(found.Instances.Instance), 1)
	rig.Equal(t, "the type", found.Instances.Instance[0].InstanceType, "ecs.g7.large")

	types := ecs.CreateDescribeInstanceTypesRequest()
	types.InstanceTypes = &[]string{"ecs.g7.large"}
	told, err := client.DescribeInstanceTypes(types)
	rig.Must(t, err)
	typed(t, told, ecs.CreateDescribeInstanceTypesResponse())
	rig.Equal(t, "disks of the type", told.InstanceTypes.InstanceType[0].DiskQuantity, 17)
	rig.Equal(t, "interfaces of the type", told.InstanceTypes.InstanceType[0].EniQuantity, 3)
	types = ecs.CreateDescribeInstanceTypesRequest()
	types.MaxResults = number(2)
	page, err := client.DescribeInstanceTypes(types)
	rig.Must(t, err)
	rig.Equal(t, "the page's size", len(page.InstanceTypes.InstanceType), 2)
	types.NextToken = page.NextToken
	page, err = client.DescribeInstanceTypes(types)
	rig.Must(t, err)
	if len(page.InstanceTypes.InstanceType) == 0 {
		t.Error("the second page of instance types is empty")
	}

	stock := ecs.CreateDescribeAvailableResourceRequest()
	stock.RegionId, stock.InstanceType = rig.Region, "ecs.g7.large"
	stock.DestinationResource, stock.ResourceType = "DataDisk", "disk"
	sold, err := client.DescribeAvailableResource(stock)
	rig.Must(t, err)
	typed(t, sold, ecs.CreateDescribeAvailableResourceResponse())
	rig.Equal(t, "zones", len(sold.AvailableZones.AvailableZone), 2)

	events := ecs.CreateDescribeInstanceHistoryEventsRequest()
	events.RegionId, events.ResourceType = rig.Region, "instance"
	events.ResourceId = &[]string{rig.Node1}
	events.EventPublishTimeStart, events.PageSize = "2026-01-01T00:00:00Z", number(100)
	events.InstanceEventCycleStatus = &[]string{"Executing", "Executed"}
	happened, err := client.DescribeInstanceHistoryEvents(events)
	rig.Must(t, err)
	typed(t, happened, ecs.CreateDescribeInstanceHistoryEventsResponse())
}
