package rpc

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"clients/rig"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
)

const (
	metadata   = "http://100.100.100.200/latest/"
	workerRole = "KubernetesWorkerRole"
)

func TestTheRoleOfTheInstanceSigns(t *testing.T) {
	rig.Fresh(t)
	rig.Metadata(t, rig.Node1)
	client := ecsClient(t, credentials.NewEcsRamRoleCredential(workerRole))
	_, err := client.DescribeRegions(ecs.CreateDescribeRegionsRequest())
	rig.Must(t, err)
	client = ecsClient(t, credentials.NewEcsRamRoleCredential("nobody"))
	_, err = client.DescribeRegions(ecs.CreateDescribeRegionsRequest())
	if err == nil {
		t.Error("a role that the instance does not have signed")
	}
}

// ask is the status and the text of one answer of the metadata service.
func ask(t *testing.T, method, path string, headers map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, metadata+path, nil)
	rig.Must(t, err)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	rig.Must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	rig.Must(t, err)
	return response.StatusCode, string(text)
}

func TestMetadataWithTokensAsTerwayReadsThem(t *testing.T) {
	rig.Fresh(t)
	rig.Metadata(t, rig.Node2)
	status, _ := ask(t, http.MethodGet, "meta-data/instance-id", nil)
	rig.Equal(t, "the status without a token", status, 403)
	status, token := ask(t, http.MethodPut, "api/token", map[string]string{"X-aliyun-ecs-metadata-token-ttl-seconds": "21600"})
	rig.Equal(t, "the status of a token", status, 200)
	header := map[string]string{"X-aliyun-ecs-metadata-token": token}
	read := func(path string) string {
		status, text := ask(t, http.MethodGet, "meta-data/"+path, header)
		rig.Equal(t, "the status of "+path, status, 200)
		return text
	}
	rig.Equal(t, "the instance", read("instance-id"), rig.Node2)
	rig.Equal(t, "the type", read("instance/instance-type"), "ecs.g7.large")
	rig.Equal(t, "the zone", read("zone-id"), rig.Zone)
	mac := read("mac")
	rig.Equal(t, "the MACs", strings.TrimRight(read("network/interfaces/macs/"), "/"), mac)
	var addresses []string
	rig.Must(t, json.Unmarshal([]byte(read("network/interfaces/macs/"+mac+"/private-ipv4s")), &addresses))
	rig.Equal(t, "the addresses", strings.Join(addresses, " "), read("private-ipv4"))
	for _, name := range []string{"network-interface-id", "primary-ip-address", "gateway", "vswitch-id", "vswitch-cidr-block", "vpc-id"} {
		if read("network/interfaces/macs/"+mac+"/"+name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	rig.Equal(t, "the role", read("ram/security-credentials/"), workerRole)
	status, _ = ask(t, http.MethodGet, "meta-data/nothing", header)
	rig.Equal(t, "the status of what is not there", status, 404)
	status, _ = ask(t, http.MethodGet, "meta-data/mac", map[string]string{"X-aliyun-ecs-metadata-token": "no"})
	rig.Equal(t, "the status with a wrong token", status, 401)
	status, text := ask(t, http.MethodGet, "dynamic/instance-identity/document", header)
	rig.Equal(t, "the status of the document", status, 200)
	document := map[string]any{}
	rig.Must(t, json.Unmarshal([]byte(text), &document))
	rig.Equal(t, "the region", document["region-id"].(string), rig.Region)
}
