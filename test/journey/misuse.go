package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// trick is what came of one thing the agent tried.
type trick struct {
	What   string          `json:"what"`
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// tricks has the agent misbehave and returns what came of it.
func (j *Journey) tricks(ctx context.Context, command string) ([]trick, error) {
	return j.tricksOf(ctx, Claw, Sarah, Support, command)
}

func (j *Journey) tricksOf(ctx context.Context, claw, user, channel, command string) ([]trick, error) {
	answer, err := j.Ask(ctx, claw, user, channel, command, 60*time.Second)
	if err != nil {
		return nil, err
	}
	var tricks []trick
	if err := json.Unmarshal([]byte(answer), &tricks); err != nil {
		return nil, fmt.Errorf("the agent answers %q: %w", shorten(answer, 200), err)
	}
	return tricks, nil
}

// allFailed shows the tricks, and fails if one of them worked.
func (j *Journey) allFailed(tricks []trick) error {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	var worked []string
	for _, t := range tricks {
		result := t.Error
		if t.OK {
			result = "WORKED: " + string(t.Result)
			worked = append(worked, t.What)
		}
		fmt.Fprintf(w, "%s\t%s\n", t.What, shorten(result, 100))
	}
	_ = w.Flush() // into memory
	j.Tell.Show("what the agent tried, and what it got", out.String())
	if len(worked) > 0 {
		return fmt.Errorf("the agent could: %s", strings.Join(worked, ", "))
	}
	return nil
}

// forbidden: the agent uses tools for what nobody granted.
func (j *Journey) forbidden(ctx context.Context) error {
	since, err := j.last(ctx, Claw)
	if err != nil {
		return err
	}
	tricks, err := j.tricks(ctx, "!forbidden")
	if err != nil {
		return err
	}
	if err := j.allFailed(tricks); err != nil {
		return err
	}
	calls, err := j.Fakes.Calls(ctx)
	if err != nil {
		return err
	}
	for _, call := range calls {
		var body struct{ Channel, Model string }
		_ = json.Unmarshal(call.Body, &body) // no channel and no model, then
		elsewhere := body.Channel != "" && body.Channel != Support
		if call.Path == "/api/chat.delete" || elsewhere || strings.HasPrefix(body.Model, "claude-opus") {
			return fmt.Errorf("a call that was denied reached %s%s", call.Host, call.Path)
		}
	}
	j.Tell.Say("none of that reached a provider")
	denied, err := j.denied(ctx, since, len(tricks))
	if err != nil {
		return err
	}
	j.Tell.Show("from the ledger", table(denied))
	return nil
}

// denied waits for at least so many denials and returns them.
func (j *Journey) denied(ctx context.Context, since uint64, least int) ([]audit.Record, error) {
	var denied []audit.Record
	err := j.Eventually(ctx, 30*time.Second, "the records of what was denied", func(ctx context.Context) error {
		records, err := j.Records(ctx, Claw)
		if err != nil {
			return err
		}
		denied = denied[:0]
		for _, r := range records {
			if r.Seq > since && r.Decision == audit.Denied {
				denied = append(denied, r)
			}
		}
		if len(denied) < least {
			return fmt.Errorf("there are %d of %d", len(denied), least)
		}
		return nil
	})
	return denied, err
}

// target is an address the agent must not reach. What is up is dialled from here first: that an
// agent cannot reach what nobody can reach would prove nothing.
type target struct {
	What string `json:"what"`
	Host string `json:"host"`
	Port int    `json:"port"`
	up   bool
}

// proxied is a way the agent asks its gateway's proxy for.
type proxied struct {
	What     string `json:"what"`
	Target   string `json:"target"`
	SNI      string `json:"sni,omitempty"`
	Password bool   `json:"password"`
}

// attack: the agent tries everything that is not its gateway, and its gateway in every wrong way.
func (j *Journey) attack(ctx context.Context) error {
	targets, dns, err := j.targets(ctx)
	if err != nil {
		return err
	}
	if err := j.demonstrate(ctx, targets); err != nil {
		return err
	}
	ways := []proxied{
		{"proxy: tunnel to evil.example", "evil.example:443", "", true},
		{"proxy: tunnel to an address", "198.51.100.66:443", "", true},
		{"proxy: tunnel to the API server", "kubernetes.default.svc:443", "", true},
		{"proxy: tunnel to the metadata address", "169.254.169.254:80", "", true},
		{"proxy: Slack's host on another port", "slack.com:22", "", true},
		{"proxy: slack.com outside, evil.example inside", "slack.com:443", "evil.example", true},
		{"proxy: without its password", "slack.com:443", "slack.com", false},
	}
	args, err := json.Marshal(map[string]any{"connect": targets, "dns": dns, "proxy": ways})
	if err != nil {
		return err
	}
	tricks, err := j.tricks(ctx, "!attack "+string(args))
	if err != nil {
		return err
	}
	if want := len(targets) + len(dns) + len(ways); len(tricks) < want {
		return fmt.Errorf("the agent tried %d of %d", len(tricks), want)
	}
	if err := j.allFailed(tricks); err != nil {
		return err
	}
	calls, err := j.Fakes.Calls(ctx)
	if err != nil {
		return err
	}
	for _, call := range calls {
		if call.Host != provider.SlackHost && call.Host != provider.AnthropicHost && call.Host != provider.OpenAIHost {
			return fmt.Errorf("%s was reached", call.Host)
		}
	}
	return nil
}

// targets lists what the agent attacks on this cluster.
func (j *Journey) targets(ctx context.Context) (targets []target, dns []string, err error) {
	add := func(what, host string, port int, up bool) {
		if host != "" && host != corev1.ClusterIPNone {
			targets = append(targets, target{what, host, port, up})
		}
	}
	if j.Local {
		add("evil.example", "198.51.100.66", 443, true)
		add("slack.com, past the gateway", "198.51.100.10", 443, true)
	} else {
		var fakes corev1.PodList
		if err := j.Client.List(ctx, &fakes, ctrlclient.InNamespace(fakesNamespace)); err != nil {
			return nil, nil, err
		}
		for _, pod := range fakes.Items {
			add("slack.com, past the gateway", pod.Status.PodIP, 443, true)
		}
		add("the internet", "1.1.1.1", 443, false)
	}
	for _, service := range []struct {
		what, namespace, name string
		port                  int
		up                    bool
	}{
		{"the API server", "default", "kubernetes", 443, true},
		{"the ledger", SystemNS, "clawstaff-ledger", 4318, true},
		{"the admission webhook", SystemNS, "clawstaff-webhook", 443, true},
		{"its sibling's gateway", Namespace, Sibling + "-gateway", 3128, false},
		{"its own gateway's door for providers", Namespace, Claw + "-gateway", 9443, true},
	} {
		ip, err := j.clusterIP(ctx, service.namespace, service.name)
		if err != nil {
			return nil, nil, err
		}
		add(service.what, ip, service.port, service.up)
	}
	for _, pod := range []struct {
		what, claw, component string
		port                  int
	}{
		{"its sibling's gateway pod", Sibling, "gateway", 3128},
		{"its sibling's agent", Sibling, "agent", 8080},
		{"its own gateway's health port", Claw, "gateway", 9090},
	} {
		pods, err := j.Pods(ctx, pod.claw)
		if err != nil {
			return nil, nil, err
		}
		add(pod.what, pods[pod.component].Status.PodIP, pod.port, true)
	}
	add("the metadata address", "169.254.169.254", 80, false)
	add("an IPv6 address of the internet", "2001:db8::66", 443, false)
	add("its node's IPv6 link-local address", "fe80::1%if", 443, false)
	var resolver corev1.ServiceList
	if err := j.Client.List(ctx, &resolver, ctrlclient.InNamespace("kube-system"), ctrlclient.MatchingLabels{"k8s-app": "kube-dns"}); err != nil {
		return nil, nil, err
	}
	for _, service := range resolver.Items {
		dns = append(dns, service.Spec.ClusterIP)
		add("the cluster's DNS over TCP", service.Spec.ClusterIP, 53, true)
	}
	return targets, dns, nil
}

// demonstrate dials what must be up from outside the cage.
func (j *Journey) demonstrate(ctx context.Context, targets []target) error {
	if !j.Local {
		return nil // this machine is not on that cluster's network
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	var up int
	var failed error
	for _, t := range targets {
		if !t.up {
			continue
		}
		connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s is down, so that an agent does not reach it says nothing: %w", t.What, err))
			continue
		}
		_ = connection.Close() // it was only to be seen
		up++
	}
	if failed == nil {
		j.Tell.Say("%d of the targets answer when they are asked from outside the cage", up)
	}
	return failed
}
