package tea

import (
	"testing"

	"clients/rig"

	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	ecs "github.com/alibabacloud-go/ecs-20140526/v7/client"
	"github.com/aliyun/credentials-go/credentials"
)

func TestTheRoleOfTheInstanceSigns(t *testing.T) {
	for name, settings := range map[string]*credentials.Config{
		"found":        {Type: ptr("ecs_ram_role")},
		"named":        {Type: ptr("ecs_ram_role"), RoleName: ptr("KubernetesWorkerRole")},
		"tokens alone": {Type: ptr("ecs_ram_role"), DisableIMDSv1: ptr(true)},
	} {
		for _, instance := range []string{rig.Node1, rig.Node2} {
			t.Run(name+" on "+instance, func(t *testing.T) {
				client := ecsClient(t, func(c *utils.Config) {
					rig.Metadata(t, instance)
					role, err := credentials.NewCredential(settings)
					rig.Must(t, err)
					c.AccessKeyId, c.AccessKeySecret, c.Credential = nil, nil, role
				})
				_, err := client.DescribeRegions(&ecs.DescribeRegionsRequest{})
				rig.Must(t, err)
			})
		}
	}
}
