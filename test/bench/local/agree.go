package local

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nobody owns what an agreeable webhook refuses, so that one can see that it is asked.
const nobody = `"owner":"refused@nowhere.example"`

// maxReview is more than the API server sends.
const maxReview = 8 << 20

// serveAgree is the least a validating webhook can do: it reads what is asked, and agrees.
func serveAgree(dir string, _ []string, listener net.Listener) error {
	certificate, err := pair(dir, "ledger")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(agree),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
	}
	return server.ServeTLS(listener, "", "")
}

func agree(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReview))
	var review admissionv1.AdmissionReview
	if err == nil {
		err = json.Unmarshal(body, &review)
	}
	if err != nil || review.Request == nil {
		http.Error(w, "it is no AdmissionReview", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: !bytes.Contains(review.Request.Object.Raw, []byte(nobody))}
	if !review.Response.Allowed {
		review.Response.Result = &metav1.Status{Message: "nobody owns it"}
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // whoever is gone needs no answer
}

// Agree starts a webhook that agrees. It tells where it is, whose certificate it has, and its process.
func (b *Bench) Agree(ctx context.Context) (url string, authority []byte, pid int, stop func(), err error) {
	authority, err = os.ReadFile(filepath.Join(b.dir, "ledger-ca.crt"))
	if err != nil {
		return "", nil, 0, nil, err
	}
	p, err := b.start(ctx, "agree")
	if err != nil {
		return "", nil, 0, nil, err
	}
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		p.stop()
		return "", nil, 0, nil, err
	}
	return "https://" + net.JoinHostPort(ledgerHost, port) + "/", authority, p.pid, p.stop, nil
}
