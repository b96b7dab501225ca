package tea

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clients/rig"

	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	ecs "github.com/alibabacloud-go/ecs-20140526/v7/client"
	"github.com/aliyun/credentials-go/credentials"
)

const (
	role     = "acs:ram::" + rig.Account + ":role/csi-admin"
	provider = "acs:ram::" + rig.Account + ":oidc-provider/ack-rrsa-sim"
)

// secure is the host:port of a TLS server before cloudsim: providers of credentials speak to STS over
// nothing else. Its certificate is trusted by this process, which must not have used TLS before.
func secure(t *testing.T) string {
	t.Helper()
	target, err := url.Parse("http://" + rig.Address(t))
	rig.Must(t, err)
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "certificate")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	rig.Must(t, os.WriteFile(file, text, 0o600))
	rig.Must(t, os.Setenv("SSL_CERT_FILE", file))
	return strings.TrimPrefix(server.URL, "https://")
}

func oidcToken(t *testing.T, subject string) string {
	t.Helper()
	now := time.Now().Unix()
	text, err := json.Marshal(map[string]any{
		"iss": "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/sim",
		"sub": subject, "aud": []string{"sts.aliyuncs.com"}, "iat": now, "exp": now + 3600,
	})
	rig.Must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	file := filepath.Join(t.TempDir(), "token")
	rig.Must(t, os.WriteFile(file, []byte(encode([]byte(`{"alg":"RS256"}`))+"."+encode(text)+".x"), 0o600))
	return file
}

// One test, since the certificates that a process trusts are read once.
func TestRolesThatAreAssumed(t *testing.T) {
	sts := secure(t)
	asks := map[string]*credentials.Config{
		"by a key": {
			Type: ptr("ram_role_arn"), AccessKeyId: ptr(rig.KeyID), AccessKeySecret: ptr(rig.Secret),
			RoleArn: ptr(role), RoleSessionName: ptr("session-1"), STSEndpoint: ptr(sts),
		},
		"by a service account": {
			Type: ptr("oidc_role_arn"), RoleArn: ptr(role), OIDCProviderArn: ptr(provider), STSEndpoint: ptr(sts),
			OIDCTokenFilePath: ptr(oidcToken(t, "system:serviceaccount:kube-system:csi")), RoleSessionName: ptr("session-1"),
		},
	}
	for name, settings := range asks {
		t.Run(name, func(t *testing.T) {
			client := ecsClient(t, func(c *utils.Config) {
				assumed, err := credentials.NewCredential(settings)
				rig.Must(t, err)
				c.AccessKeyId, c.AccessKeySecret, c.Credential = nil, nil, assumed
			})
			_, err := client.DescribeRegions(&ecs.DescribeRegionsRequest{})
			rig.Must(t, err)
		})
	}
	t.Run("by a service account that may not", func(t *testing.T) {
		settings := *asks["by a service account"]
		settings.OIDCTokenFilePath = ptr(oidcToken(t, "system:serviceaccount:default:web"))
		assumed, err := credentials.NewCredential(&settings)
		rig.Must(t, err)
		_, err = assumed.GetCredential()
		if err == nil || !strings.Contains(err.Error(), "AuthenticationFail.NoPermission") {
			t.Errorf("no refusal, but %v", err)
		}
	})
}
