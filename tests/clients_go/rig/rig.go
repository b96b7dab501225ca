// Package rig brings the clients of these tests to a running cloudsim, whose address is in CLOUDSIM.
//
// Clients use the real host names: every connection of Transport goes to cloudsim, whatever the name is.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// What the default world of cloudsim has.
const (
	Region     = "cn-hangzhou"
	Zone       = "cn-hangzhou-k"
	KeyID      = "LTAIsimulated"
	Secret     = "simulated-secret"
	Account    = "1234567890123456"
	Node1      = "i-bp1sim000000000001"
	Node2      = "i-bp1sim000000000002"
	VPC        = "vpc-bp1sim000000000001"
	VSwitch    = "vsw-bp1sim000000000003"
	Group      = "sg-bp1sim000000000001"
	FileSystem = "0a1b2c3d4e"
	CPFS       = "bmcpfs-0a1b2c3d4e5f6072"
	Bucket     = "simulated-bucket"
)

const patience = 20 * time.Second

// Address is cloudsim's, as host:port.
func Address(t testing.TB) string {
	t.Helper()
	address := os.Getenv("CLOUDSIM")
	if address == "" {
		t.Fatal("CLOUDSIM must be the host:port of a running cloudsim; see CONTRIBUTING.md, make clients")
	}
	return address
}

// Transport opens every connection to cloudsim, so that clients can use the names of the real services.
func Transport(t testing.TB) *http.Transport {
	address := Address(t)
	made := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(made.CloseIdleConnections)
	return made
}

// Control calls cloudsim's control API and returns its JSON answer.
func Control(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		Must(t, err)
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, "http://"+Address(t)+"/_sim/"+path, sent)
	Must(t, err)
	response, err := http.DefaultClient.Do(request)
	Must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	Must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s /_sim/%s: %s: %s", method, path, response.Status, text)
	}
	answer := map[string]any{}
	Must(t, json.Unmarshal(text, &answer))
	return answer
}

// Fresh puts cloudsim back into its first state.
func Fresh(t testing.TB) {
	t.Helper()
	Control(t, http.MethodPost, "reset", nil)
}

// Fault makes an action of cloudsim fail until the test ends.
func Fault(t testing.TB, action, effect string, more map[string]any) {
	t.Helper()
	body := map[string]any{"action": action, "effect": effect}
	for name, value := range more {
		body[name] = value
	}
	made := Control(t, http.MethodPost, "faults", body)
	t.Cleanup(func() { Control(t, http.MethodDelete, "faults/"+made["id"].(string), nil) })
}

// Must fails the test at once when there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Equal fails the test, but lets it go on, when the two differ.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

// Await looks again and again until *done* says so.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// Typed fails the test when a field of a JSON answer has another type than *model*, a pointer to a struct,
// says. The SDKs themselves take a number for a text and a text for a number, so they would not tell.
func Typed(t testing.TB, answer []byte, model any) {
	t.Helper()
	if err := json.Unmarshal(answer, model); err != nil {
		t.Errorf("%T: %v", model, err)
	}
}

// Metadata skips the test where the metadata service is not at its own address, which takes a network
// namespace. *instance* is whose service it is from now on.
func Metadata(t testing.TB, instance string) {
	t.Helper()
	if os.Getenv("CLOUDSIM_METADATA") == "" {
		t.Skip("CLOUDSIM_METADATA does not say that cloudsim has the address 100.100.100.200:80")
	}
	Control(t, http.MethodPost, "imds", map[string]any{"instance": instance})
}
