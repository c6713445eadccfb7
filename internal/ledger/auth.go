package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// Audience is what a token must be made for to be good here.
const Audience = "clawstaff-ledger"

// Errors of an Authenticator.
var (
	errUnknownToken = errors.New("the token is not one of a gateway for the audience " + Audience)
	errNoAuthority  = errors.New("the API server could not be asked about the token")
)

// Authenticator says whose token it is: the Claw, by namespace and name, whose gateway holds it.
type Authenticator interface {
	// Authenticate returns errUnknownToken or errNoAuthority, wrapped, where it cannot tell.
	Authenticate(ctx context.Context, token string) (namespace, claw string, err error)
}

const (
	answerTTL     = 30 * time.Second
	maxAnswers    = 8192
	maxReviews    = 16 // at once
	maxToken      = 16 << 10
	reviewTimeout = 5 * time.Second
)

// TokenReviews is an Authenticator that asks the API server, and remembers its answers for a short while.
type TokenReviews struct {
	url     string
	client  *http.Client
	clock   clock.PassiveClock
	reviews chan struct{}

	mu      sync.Mutex
	answers map[[sha256.Size]byte]answer
}

type answer struct {
	user  string // empty: not authenticated
	until time.Time
}

// NewTokenReviews authenticates gateways by the API server of config.
func NewTokenReviews(config *rest.Config) (*TokenReviews, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	client.Timeout = reviewTimeout
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}
	return &TokenReviews{
		url:     strings.TrimSuffix(base.String(), "/") + "/apis/authentication.k8s.io/v1/tokenreviews",
		client:  client,
		clock:   clock.RealClock{},
		reviews: make(chan struct{}, maxReviews),
		answers: map[[sha256.Size]byte]answer{},
	}, nil
}

// Authenticate implements Authenticator.
func (t *TokenReviews) Authenticate(ctx context.Context, token string) (namespace, claw string, err error) {
	if token == "" || len(token) > maxToken {
		return "", "", errUnknownToken
	}
	key := sha256.Sum256([]byte(token))
	user, known := t.recall(key)
	if !known {
		if user, err = t.review(ctx, token); err != nil {
			return "", "", fmt.Errorf("%w: %w", errNoAuthority, err)
		}
		t.remember(key, user)
	}
	account, ok := strings.CutPrefix(user, "system:serviceaccount:")
	namespace, name, found := strings.Cut(account, ":")
	claw, gateway := strings.CutSuffix(name, "-gateway")
	if !ok || !found || !gateway || claw == "" {
		return "", "", errUnknownToken
	}
	return namespace, claw, nil
}

func (t *TokenReviews) recall(key [sha256.Size]byte) (user string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, known := t.answers[key]
	return a.user, known && t.clock.Now().Before(a.until)
}

func (t *TokenReviews) remember(key [sha256.Size]byte, user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.answers) >= maxAnswers {
		clear(t.answers)
	}
	t.answers[key] = answer{user: user, until: t.clock.Now().Add(answerTTL)}
}

// review returns the token's user, none if the API server does not know it.
func (t *TokenReviews) review(ctx context.Context, token string) (string, error) {
	select {
	case t.reviews <- struct{}{}:
		defer func() { <-t.reviews }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	question, err := json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(question))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := t.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("it answered %s to a TokenReview", res.Status)
	}
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(body, &review); err != nil {
		return "", err
	}
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, Audience) {
		return "", nil
	}
	return review.Status.User.Username, nil
}
