// Package control is how a test tells the fake providers what to do and asks what they saw.
package control

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// longPoll bounds how long a question for calls is held.
const longPoll = 20 * time.Second

// Handler serves the control API.
//
//	GET    /healthz            the providers are up
//	GET    /ca.crt             the authority that signs their certificates
//	PUT    /keys               provider.Keys: what they accept from now on
//	GET    /calls?after=N      the calls after number N; waits for one, up to 20 s, with &wait=1
//	DELETE /calls              forget them
//	POST   /slack/deliveries   provider.Delivery: post an event to a gateway; answers with a provider.Receipt
func Handler(providers *provider.Providers, authority []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /ca.crt", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(authority)
	})
	mux.HandleFunc("PUT /keys", func(w http.ResponseWriter, r *http.Request) {
		var keys provider.Keys
		if decode(w, r, &keys) {
			providers.SetKeys(keys)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.FormValue("after")) // all of them, then
		respond(w, calls(r.Context(), providers, after, r.FormValue("wait") != ""))
	})
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, _ *http.Request) {
		providers.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /slack/deliveries", func(w http.ResponseWriter, r *http.Request) {
		var delivery provider.Delivery
		if !decode(w, r, &delivery) {
			return
		}
		receipt, err := provider.Deliver(r.Context(), delivery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		respond(w, receipt)
	})
	return mux
}

// calls returns the calls after a number. If asked to it waits for one that is answered.
func calls(ctx context.Context, providers *provider.Providers, after int, wait bool) []provider.Call {
	over := time.NewTimer(longPoll)
	defer over.Stop()
	for {
		found, changed := providers.Calls(after)
		if len(found) > 0 || !wait {
			return found
		}
		select {
		case <-changed:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		http.Error(w, "the body is not what this endpoint takes: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func respond(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client is gone, or it is not
}
