package rpc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
)

func createDisk(name string) *ecs.CreateDiskRequest {
	ask := ecs.CreateCreateDiskRequest()
	ask.RegionId, ask.ZoneId = rig.Region, rig.Zone
	ask.DiskCategory, ask.PerformanceLevel, ask.Size = "cloud_essd", "PL1", number(20)
	ask.DiskName, ask.ClientToken = name, "n:"+name
	ask.MultiAttach = "Disabled"
	ask.Tag = &[]ecs.CreateDiskTag{
		{Key: "k8s.aliyun.com", Value: "true"},
		{Key: "createdby", Value: "alibabacloud-csi-plugin"},
		{Key: "csi.alibabacloud.com/volume-name", Value: name},
	}
	return ask
}

// newDisk is the id of an Available disk.
func newDisk(t *testing.T, client *ecs.Client, name string) string {
	t.Helper()
	made, err := client.CreateDisk(createDisk(name))
	rig.Must(t, err)
	typed(t, made, ecs.CreateCreateDiskResponse())
	awaitDisk(t, client, made.DiskId, "Available")
	return made.DiskId
}

func describe(t *testing.T, client *ecs.Client, ids ...string) []ecs.Disk {
	t.Helper()
	ask := ecs.CreateDescribeDisksRequest()
	text, err := json.Marshal(ids)
	rig.Must(t, err)
	ask.RegionId, ask.DiskIds, ask.PageSize = rig.Region, string(text), number(100)
	found, err := client.DescribeDisks(ask)
	rig.Must(t, err)
	typed(t, found, ecs.CreateDescribeDisksResponse())
	return found.Disks.Disk
}

func awaitDisk(t *testing.T, client *ecs.Client, id, status string) ecs.Disk {
	t.Helper()
	var last ecs.Disk
	rig.Await(t, id+" is "+status, func() bool {
		found := describe(t, client, id)
		if len(found) == 1 {
			last = found[0]
		}
		return last.Status == status
	})
	return last
}

func TestADiskThroughItsLife(t *testing.T) {
	client := fresh(t)
	id := newDisk(t, client, "pvc-1")
	disk := describe(t, client, id)[0]
	rig.Equal(t, "the size", disk.Size, 20)
	rig.Equal(t, "the category", disk.Category, "cloud_essd")
	rig.Equal(t, "the level", disk.PerformanceLevel, "PL1")
	rig.Equal(t, "the serial number", disk.SerialNumber, strings.TrimPrefix(id, "d-"))

	attach := ecs.CreateAttachDiskRequest()
	attach.DiskId, attach.InstanceId = id, rig.Node1
	attached, err := client.AttachDisk(attach)
	rig.Must(t, err)
	typed(t, attached, ecs.CreateAttachDiskResponse())
	disk = awaitDisk(t, client, id, "In_use")
	rig.Equal(t, "the instance", disk.InstanceId, rig.Node1)
	rig.Equal(t, "the attachment", disk.Attachments.Attachment[0].InstanceId, rig.Node1)

	resize := ecs.CreateResizeDiskRequest()
	resize.DiskId, resize.NewSize, resize.Type = id, number(30), "online"
	resized, err := client.ResizeDisk(resize)
	rig.Must(t, err)
	typed(t, resized, ecs.CreateResizeDiskResponse())
	rig.Await(t, "30 GiB", func() bool { return describe(t, client, id)[0].Size == 30 })

	remove := ecs.CreateDeleteDiskRequest()
	remove.DiskId = id
	_, err = client.DeleteDisk(remove)
	refused(t, err, 403, "IncorrectDiskStatus")

	detach := ecs.CreateDetachDiskRequest()
	detach.DiskId, detach.InstanceId = id, rig.Node1
	detached, err := client.DetachDisk(detach)
	rig.Must(t, err)
	typed(t, detached, ecs.CreateDetachDiskResponse())
	awaitDisk(t, client, id, "Available")

	removed, err := client.DeleteDisk(remove)
	rig.Must(t, err)
	typed(t, removed, ecs.CreateDeleteDiskResponse())
	rig.Await(t, "the disk is gone", func() bool { return len(describe(t, client, id)) == 0 })
	_, err = client.AttachDisk(attach)
	refused(t, err, 404, "InvalidDiskId.NotFound")
}

func TestADiskIsMadeOnceForOneToken(t *testing.T) {
	client := fresh(t)
	first, err := client.CreateDisk(createDisk("pvc-1"))
	rig.Must(t, err)
	again, err := client.CreateDisk(createDisk("pvc-1"))
	rig.Must(t, err)
	rig.Equal(t, "the disk of the same token", again.DiskId, first.DiskId)
	other := createDisk("pvc-1")
	other.Size = number(40)
	_, err = client.CreateDisk(other)
	refused(t, err, 400, "IdempotentParameterMismatch")
}

func TestDisksArePagedByNumberAndByToken(t *testing.T) {
	client := fresh(t)
	var want []string
	for n := range 23 {
		made, err := client.CreateDisk(createDisk(fmt.Sprintf("pvc-%d", n)))
		rig.Must(t, err)
		want = append(want, made.DiskId)
	}
	slices.Sort(want)

	var numbered []string
	for page := 1; ; page++ {
		ask := ecs.CreateDescribeDisksRequest()
		ask.RegionId, ask.DiskType, ask.PageSize, ask.PageNumber = rig.Region, "data", number(10), number(page)
		found, err := client.DescribeDisks(ask)
		rig.Must(t, err)
		rig.Equal(t, "the count", found.TotalCount, 23)
		rig.Equal(t, "the page", found.PageNumber, page)
		rig.Equal(t, "the page's size", found.PageSize, 10)
		if len(found.Disks.Disk) == 0 {
			break
		}
		for _, disk := range found.Disks.Disk {
			numbered = append(numbered, disk.DiskId)
		}
	}
	slices.Sort(numbered)
	if !slices.Equal(numbered, want) {
		t.Errorf("by number: %v, not %v", numbered, want)
	}

	var told []string
	ask := ecs.CreateDescribeDisksRequest()
	ask.RegionId, ask.DiskType, ask.MaxResults = rig.Region, "data", number(10)
	for {
		found, err := client.DescribeDisks(ask)
		rig.Must(t, err)
		for _, disk := range found.Disks.Disk {
			told = append(told, disk.DiskId)
		}
		if found.NextToken == "" {
			break
		}
		ask.NextToken = found.NextToken
	}
	slices.Sort(told)
	if !slices.Equal(told, want) {
		t.Errorf("by token: %v, not %v", told, want)
	}
	ask.NextToken = "nonsense"
	_, err := client.DescribeDisks(ask)
	if err == nil {
		t.Error("a token that is none was taken")
	}
}

func TestUnknownDisksAreAbsentAndTagsFind(t *testing.T) {
	client := fresh(t)
	id := newDisk(t, client, "pvc-1")
	newDisk(t, client, "pvc-2")
	rig.Equal(t, "disks that are there", len(describe(t, client, id, "d-bp1doesnotexist00000")), 1)

	ask := ecs.CreateDescribeDisksRequest()
	ask.RegionId = rig.Region
	ask.Tag = &[]ecs.DescribeDisksTag{{Key: "csi.alibabacloud.com/volume-name", Value: "pvc-1"}}
	found, err := client.DescribeDisks(ask)
	rig.Must(t, err)
	if len(found.Disks.Disk) != 1 || found.Disks.Disk[0].DiskId != id {
		t.Fatalf("by tag: %v", found.Disks.Disk)
	}
	tags := map[string]string{}
	for _, tag := range found.Disks.Disk[0].Tags.Tag {
		tags[tag.TagKey] = tag.TagValue
	}
	rig.Equal(t, "the tag", tags["createdby"], "alibabacloud-csi-plugin")

	ask.DiskIds = "d-1,d-2"
	_, err = client.DescribeDisks(ask)
	if err == nil {
		t.Error("DiskIds that is no JSON was taken")
	}
}

func TestTagsComeAndGo(t *testing.T) {
	client := fresh(t)
	id := newDisk(t, client, "pvc-1")
	put := ecs.CreateTagResourcesRequest()
	put.RegionId, put.ResourceType, put.ResourceId = rig.Region, "disk", &[]string{id}
	put.Tag = &[]ecs.TagResourcesTag{{Key: "team", Value: "a"}, {Key: "empty"}}
	made, err := client.TagResources(put)
	rig.Must(t, err)
	typed(t, made, ecs.CreateTagResourcesResponse())

	list := ecs.CreateListTagResourcesRequest()
	list.RegionId, list.ResourceType, list.ResourceId = rig.Region, "disk", &[]string{id}
	found, err := client.ListTagResources(list)
	rig.Must(t, err)
	typed(t, found, ecs.CreateListTagResourcesResponse())
	rig.Equal(t, "the number of tags", len(found.TagResources.TagResource), 5)

	drop := ecs.CreateUntagResourcesRequest()
	drop.RegionId, drop.ResourceType, drop.ResourceId = rig.Region, "disk", &[]string{id}
	drop.TagKey = &[]string{"team", "empty"}
	gone, err := client.UntagResources(drop)
	rig.Must(t, err)
	typed(t, gone, ecs.CreateUntagResourcesResponse())

	old := ecs.CreateAddTagsRequest()
	old.RegionId, old.ResourceType, old.ResourceId = rig.Region, "disk", id
	old.Tag = &[]ecs.AddTagsTag{{Key: "old", Value: "way"}}
	_, err = client.AddTags(old)
	rig.Must(t, err)
	ask := ecs.CreateDescribeTagsRequest()
	ask.RegionId, ask.ResourceType, ask.ResourceId = rig.Region, "disk", id
	told, err := client.DescribeTags(ask)
	rig.Must(t, err)
	typed(t, told, ecs.CreateDescribeTagsResponse())
	rig.Equal(t, "the number of tags", len(told.Tags.Tag), 4)
	forget := ecs.CreateRemoveTagsRequest()
	forget.RegionId, forget.ResourceType, forget.ResourceId = rig.Region, "disk", id
	forget.Tag = &[]ecs.RemoveTagsTag{{Key: "old", Value: "way"}}
	_, err = client.RemoveTags(forget)
	rig.Must(t, err)
	told, err = client.DescribeTags(ask)
	rig.Must(t, err)
	rig.Equal(t, "the number of tags", len(told.Tags.Tag), 3)
}

func TestADiskIsModified(t *testing.T) {
	client := fresh(t)
	id := newDisk(t, client, "pvc-1")
	// A request keeps what it once sent, so each kind needs one of its own.
	try := ecs.CreateModifyDiskSpecRequest()
	try.DiskId, try.DiskCategory, try.DryRun = id, "cloud_auto", yes()
	_, err := client.ModifyDiskSpec(try)
	refused(t, err, 400, "DryRunOperation")
	change := ecs.CreateModifyDiskSpecRequest()
	change.DiskId, change.DiskCategory = id, "cloud_auto"
	changed, err := client.ModifyDiskSpec(change)
	rig.Must(t, err)
	typed(t, changed, ecs.CreateModifyDiskSpecResponse())
	rig.Await(t, "the task is finished", func() bool {
		ask := ecs.CreateDescribeTasksRequest()
		ask.RegionId, ask.TaskIds, ask.PageSize = rig.Region, changed.TaskId, number(100)
		found, err := client.DescribeTasks(ask)
		rig.Must(t, err)
		typed(t, found, ecs.CreateDescribeTasksResponse())
		return len(found.TaskSet.Task) == 1 && found.TaskSet.Task[0].TaskStatus == "Finished"
	})
	rig.Equal(t, "the category", describe(t, client, id)[0].Category, "cloud_auto")
	_, err = client.ModifyDiskSpec(change)
	refused(t, err, 403, "NoChangeInDiskCategoryAndPerformanceLevel")
	change.DiskId = "d-bp1doesnotexist00000"
	_, err = client.ModifyDiskSpec(change)
	refused(t, err, 404, "InvalidDiskId.NotFound")
}
