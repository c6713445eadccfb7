// This file is the second plugin of the CNI chain. It moves no packet: it tells the enforcer whose the new address is, and
// lets no container start before the enforcer has put the pod's rules in place.

package netpol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// PluginName is how containerd finds the plugin.
const PluginName = "clawstaff-netpol"

const cniVersion = "1.0.0"

// PluginMain speaks the CNI protocol: environment and standard input in, standard output out.
func PluginMain() {
	out, err := plugin(os.Getenv, os.Stdin)
	if err != nil {
		out, _ = json.Marshal(map[string]any{"cniVersion": cniVersion, "code": 100, "msg": err.Error()})
	}
	os.Stdout.Write(out)
	if err != nil {
		os.Exit(1)
	}
}

// pluginConfig is what stands in the CNI file, and what the runtime adds to it.
type pluginConfig struct {
	Socket     string          `json:"socket"` // the enforcer's
	PrevResult json.RawMessage `json:"prevResult"`
}

func plugin(env func(string) string, stdin io.Reader) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	command, sandbox := env("CNI_COMMAND"), env("CNI_CONTAINERID")
	if command == "VERSION" {
		return json.Marshal(map[string]any{"cniVersion": cniVersion, "supportedVersions": []string{cniVersion}})
	}
	var config pluginConfig
	if err := json.NewDecoder(stdin).Decode(&config); err != nil {
		return nil, fmt.Errorf("reading the CNI configuration: %w", err)
	}
	switch command {
	case "ADD":
		address, err := addressIn(config.PrevResult)
		if err != nil {
			return nil, err
		}
		uid := argument(env("CNI_ARGS"), "K8S_POD_UID")
		if uid == "" {
			return nil, errors.New("CNI_ARGS has no K8S_POD_UID")
		}
		return config.PrevResult, call(ctx, http.MethodPost, config.Socket, assignment{Sandbox: sandbox, PodUID: uid, Address: address})
	case "DEL":
		// An enforcer that is away must not keep a dead sandbox alive; its address is overwritten when it is given out again.
		_ = call(ctx, http.MethodDelete, config.Socket, assignment{Sandbox: sandbox})
		return nil, nil
	case "CHECK":
		return nil, nil
	default:
		return nil, fmt.Errorf("unknown CNI command %q", command)
	}
}

// addressIn reads the one IPv4 address of the previous plugin's result.
func addressIn(result json.RawMessage) (netip.Addr, error) {
	var parsed struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(result, &parsed); err != nil {
		return netip.Addr{}, fmt.Errorf("reading the previous plugin's result: %w", err)
	}
	if len(parsed.IPs) != 1 || !parsed.IPs[0].Address.Addr().Is4() {
		return netip.Addr{}, fmt.Errorf("want exactly one IPv4 address from the previous plugin, got %v", parsed.IPs)
	}
	return parsed.IPs[0].Address.Addr(), nil
}

// argument finds NAME in the NAME=value;NAME=value of CNI_ARGS.
func argument(args, name string) string {
	for _, pair := range strings.Split(args, ";") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// Ready asks the enforcer whether its rules are in place.
func Ready(ctx context.Context, socket string) error {
	return call(ctx, http.MethodGet, socket, assignment{})
}

func call(ctx context.Context, method, socket string, a assignment) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://enforcer/pods", bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the NetworkPolicy enforcer does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("the NetworkPolicy enforcer: %s", bytes.TrimSpace(why))
	}
	return nil
}

// serve is the enforcer's end.
func (e *enforcer) serve(ctx context.Context, socket string) error {
	if err := os.RemoveAll(socket); err != nil { // of an enforcer that was killed
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return e.serveOn(ctx, listener)
}

func (e *enforcer) serveOn(ctx context.Context, listener net.Listener) error {
	handle := func(act func(context.Context, assignment) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var a assignment
			err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&a)
			if err == nil {
				err = act(r.Context(), a)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /pods", handle(e.added))
	mux.Handle("DELETE /pods", handle(func(ctx context.Context, a assignment) error { return e.removed(ctx, a.Sandbox) }))
	mux.Handle("GET /pods", handle(func(ctx context.Context, _ assignment) error { return e.inPlace(ctx) }))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
