package rpc

import (
	"encoding/json"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nas"
)

func fileSystems(t *testing.T, client *nas.Client, id string) []nas.FileSystem {
	t.Helper()
	ask := nas.CreateDescribeFileSystemsRequest()
	ask.RegionId, ask.FileSystemId = rig.Region, id
	found, err := client.DescribeFileSystems(ask)
	rig.Must(t, err)
	typed(t, found, nas.CreateDescribeFileSystemsResponse())
	return found.FileSystems.FileSystem
}

func TestAFileSystemThroughItsLife(t *testing.T) {
	client := nasClient(t)
	ask := nas.CreateCreateFileSystemRequest()
	ask.RegionId, ask.ZoneId, ask.ProtocolType, ask.StorageType = rig.Region, rig.Zone, "NFS", "Performance"
	ask.Description, ask.ClientToken = "pvc-1", "token-1"
	made, err := client.CreateFileSystem(ask)
	rig.Must(t, err)
	typed(t, made, nas.CreateCreateFileSystemResponse())
	rig.Await(t, "the file system runs", func() bool {
		found := fileSystems(t, client, made.FileSystemId)
		return len(found) == 1 && found[0].Status == "Running"
	})
	tag := nas.CreateTagResourcesRequest()
	tag.RegionId, tag.ResourceType, tag.ResourceId = rig.Region, "filesystem", &[]string{made.FileSystemId}
	tag.Tag = &[]nas.TagResourcesTag{{Key: "ack.aliyun.com", Value: "c1"}}
	tagged, err := client.TagResources(tag)
	rig.Must(t, err)
	typed(t, tagged, nas.CreateTagResourcesResponse())

	mount := nas.CreateCreateMountTargetRequest()
	mount.RegionId, mount.FileSystemId, mount.NetworkType = rig.Region, made.FileSystemId, "Vpc"
	mount.VpcId, mount.VSwitchId, mount.AccessGroupName = rig.VPC, rig.VSwitch, "DEFAULT_VPC_GROUP_NAME"
	target, err := client.CreateMountTarget(mount)
	rig.Must(t, err)
	typed(t, target, nas.CreateCreateMountTargetResponse())
	rig.Await(t, "the mount target is active", func() bool {
		ask := nas.CreateDescribeMountTargetsRequest()
		ask.RegionId, ask.FileSystemId, ask.MountTargetDomain = rig.Region, made.FileSystemId, target.MountTargetDomain
		found, err := client.DescribeMountTargets(ask)
		rig.Must(t, err)
		typed(t, found, nas.CreateDescribeMountTargetsResponse())
		return len(found.MountTargets.MountTarget) == 1 && found.MountTargets.MountTarget[0].Status == "Active"
	})
	remove := nas.CreateDeleteFileSystemRequest()
	remove.RegionId, remove.FileSystemId = rig.Region, made.FileSystemId
	_, err = client.DeleteFileSystem(remove)
	if err == nil {
		t.Fatal("a file system with a mount target was deleted")
	}
	drop := nas.CreateDeleteMountTargetRequest()
	drop.RegionId, drop.FileSystemId, drop.MountTargetDomain = rig.Region, made.FileSystemId, target.MountTargetDomain
	dropped, err := client.DeleteMountTarget(drop)
	rig.Must(t, err)
	typed(t, dropped, nas.CreateDeleteMountTargetResponse())
	rig.Await(t, "the mount target is gone", func() bool {
		return len(fileSystems(t, client, made.FileSystemId)[0].MountTargets.MountTarget) == 0
	})
	removed, err := client.DeleteFileSystem(remove)
	rig.Must(t, err)
	typed(t, removed, nas.CreateDeleteFileSystemResponse())
	rig.Await(t, "the file system is gone", func() bool {
		ask := nas.CreateDescribeFileSystemsRequest()
		ask.RegionId, ask.PageSize = rig.Region, number(100)
		found, err := client.DescribeFileSystems(ask)
		rig.Must(t, err)
		for _, row := range found.FileSystems.FileSystem {
			if row.FileSystemId == made.FileSystemId {
				return false
			}
		}
		return true
	})
}

func TestAnUnknownFileSystem(t *testing.T) {
	client := nasClient(t)
	ask := nas.CreateDescribeFileSystemsRequest()
	ask.RegionId, ask.FileSystemId = rig.Region, "0000000000"
	_, err := client.DescribeFileSystems(ask)
	refused(t, err, 404, "InvalidFileSystem.NotFound")
	mounts := nas.CreateDescribeMountTargetsRequest()
	mounts.RegionId, mounts.FileSystemId = rig.Region, "0000000000"
	_, err = client.DescribeMountTargets(mounts)
	refused(t, err, 404, "InvalidFileSystem.NotFound")
}

func TestDirectoriesAndTheirQuotas(t *testing.T) {
	client := nasClient(t)
	for range 2 {
		_, err := common(t, client, "CreateDir", map[string]string{
			"FileSystemId": rig.FileSystem, "RootDirectory": "/pvc-1",
			"OwnerUserId": "1000", "OwnerGroupId": "1000", "Permission": "0755",
		})
		rig.Must(t, err)
	}
	limit := nas.CreateSetDirQuotaRequest()
	limit.RegionId, limit.FileSystemId, limit.Path = rig.Region, rig.FileSystem, "/pvc-1"
	limit.QuotaType, limit.UserType, limit.SizeLimit = "Enforcement", "AllUsers", number(10)
	set, err := client.SetDirQuota(limit)
	rig.Must(t, err)
	typed(t, set, nas.CreateSetDirQuotaResponse())
	rig.Equal(t, "whether the quota was set", set.Success, true)
	list := nas.CreateDescribeDirQuotasRequest()
	list.RegionId, list.FileSystemId, list.Path = rig.Region, rig.FileSystem, "/pvc-1"
	rig.Await(t, "the quota is there", func() bool {
		found, err := client.DescribeDirQuotas(list)
		rig.Must(t, err)
		typed(t, found, nas.CreateDescribeDirQuotasResponse())
		return len(found.DirQuotaInfos) == 1
	})
	cancel := nas.CreateCancelDirQuotaRequest()
	cancel.RegionId, cancel.FileSystemId, cancel.Path, cancel.UserType = rig.Region, rig.FileSystem, "/pvc-1", "AllUsers"
	cancelled, err := client.CancelDirQuota(cancel)
	rig.Must(t, err)
	typed(t, cancelled, nas.CreateCancelDirQuotaResponse())
	_, err = client.CancelDirQuota(cancel)
	refused(t, err, 404, "InvalidParameter.QuotaNotExistOnPath")
}

func TestAnAccessPointThroughItsLife(t *testing.T) {
	client := nasClient(t)
	made, err := common(t, client, "CreateAccessPoint", map[string]string{
		"FileSystemId": rig.FileSystem, "AccessGroup": "DEFAULT_VPC_GROUP_NAME", "VpcId": rig.VPC,
		"VswId": rig.VSwitch, "RootDirectory": "/ap-1", "OwnerUserId": "0", "OwnerGroupId": "0", "Permission": "0777",
	})
	rig.Must(t, err)
	one := map[string]string{
		"FileSystemId": rig.FileSystem, "AccessPointId": made["AccessPoint"].(map[string]any)["AccessPointId"].(string),
	}
	rig.Await(t, "the access point is active", func() bool {
		found, err := common(t, client, "DescribeAccessPoint", one)
		rig.Must(t, err)
		return found["AccessPoint"].(map[string]any)["Status"] == "Active"
	})
	_, err = common(t, client, "DeleteAccessPoint", one)
	rig.Must(t, err)
}

func TestAFilesetThroughItsLife(t *testing.T) {
	client := nasClient(t)
	ask := map[string]string{"FileSystemId": rig.CPFS, "FileSystemPath": "/pvc-1/", "ClientToken": "token-1"}
	made, err := common(t, client, "CreateFileset", ask)
	rig.Must(t, err)
	again, err := common(t, client, "CreateFileset", ask)
	rig.Must(t, err)
	rig.Equal(t, "the fileset of the same token", again["FsetId"].(string), made["FsetId"].(string))
	one := map[string]string{"FileSystemId": rig.CPFS, "FsetId": made["FsetId"].(string)}
	rig.Await(t, "the fileset is created", func() bool {
		found, err := common(t, client, "DescribeFilesets", map[string]string{
			"FileSystemId": rig.CPFS, "Filters.1.Key": "FsetIds", "Filters.1.Value": one["FsetId"],
		})
		rig.Must(t, err)
		entries := found["Entries"].(map[string]any)["Entrie"].([]any)
		return len(entries) == 1 && entries[0].(map[string]any)["Status"] == "CREATED"
	})
	_, err = common(t, client, "DeleteFileset", one)
	rig.Must(t, err)
	rig.Await(t, "the fileset is gone", func() bool {
		_, err := common(t, client, "SetFilesetQuota", map[string]string{
			"FileSystemId": rig.CPFS, "FsetId": one["FsetId"], "SizeLimit": "10737418240",
		})
		return err != nil
	})
}

// common calls an action that this SDK's model of NAS does not have.
func common(t *testing.T, client *nas.Client, action string, parameters map[string]string) (map[string]any, error) {
	t.Helper()
	ask := requests.NewCommonRequest()
	ask.Method, ask.Product, ask.Version, ask.ApiName = "POST", "NAS", "2017-06-26", action
	ask.Domain = rig.Address(t)
	ask.QueryParams["RegionId"] = rig.Region
	for name, value := range parameters {
		ask.QueryParams[name] = value
	}
	answer, err := client.ProcessCommonRequest(ask)
	if err != nil {
		return nil, err
	}
	told := map[string]any{}
	rig.Must(t, json.Unmarshal(answer.GetHttpContentBytes(), &told))
	return told, nil
}
