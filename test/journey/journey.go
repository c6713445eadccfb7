// Package journey is the story of one Claw on a real cluster, act by act. The demo narrates it, the
// end-to-end test asserts it: both run the same acts, and an act fails unless everything it says is true.
package journey

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/test/fakes/control"
)

// The names of the quickstart sample, and where it is installed.
const (
	Namespace    = "acme"
	Claw         = "support-triage"
	Sibling      = "nightwatch"
	SystemNS     = "clawstaff-system"
	ClawBot      = "U0TRIAGE" // the Claw's user at Slack
	SiblingBot   = "U0NIGHT"
	LocalCluster = "clawstaff.dev/local-cluster" // labels the nodes of hack/cluster
)

// The people of the story, by their Slack user ids.
const (
	Sarah   = "U01SARAH" // the owner
	Lee     = "U01LEE"   // a teammate
	Kim     = "U01KIM"   // of the organization, but of another team
	Mallory = "U0MALLORY"
)

// The channels of the story.
const (
	Support = "C0SUPPORT" // the Claw's own
	Triage  = "C0TRIAGE"  // the sibling's
	Random  = "C0RANDOM"  // nobody's
)

// Journey is one run of the story.
type Journey struct {
	Root   string // of the checkout
	Config *rest.Config
	Client ctrlclient.Client
	Kube   kubernetes.Interface
	Fakes  *control.Client
	Keys   Keys
	Tell   Teller
	// Local says that the cluster is hack/cluster's, whose addresses can be reached from here, and that the
	// fakes are in its fake internet. Elsewhere, or with CLAWSTAFF_FAKES=pod, they are a pod.
	Local bool
	// Ready is how long the Claw took from apply to Ready.
	Ready time.Duration

	kubectl string
}

// New finds the cluster of the current KUBECONFIG. root is the checkout.
func New(ctx context.Context, root string, tell Teller) (*Journey, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w; set KUBECONFIG, or run hack/cluster up", err)
	}
	config.QPS, config.Burst = 100, 200
	ctrllog.SetLogger(logr.Discard()) // what goes wrong is in the errors
	scheme := clientgoscheme.Scheme
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	j := &Journey{Root: root, Config: config, Tell: tell, kubectl: "kubectl"}
	if j.Client, err = ctrlclient.New(config, ctrlclient.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if j.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	var nodes corev1.NodeList
	if err := j.Client.List(ctx, &nodes, ctrlclient.HasLabels{LocalCluster}); err != nil {
		return nil, fmt.Errorf("the cluster does not answer: %w", err)
	}
	j.Local = len(nodes.Items) > 0 && os.Getenv("CLAWSTAFF_FAKES") != "pod"
	return j, nil
}

// Root finds the checkout from a directory inside it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("run this inside the checkout")
}

// Act is one part of the story.
type Act struct {
	Name  string // as a test is named
	Title string
	Story string // what is about to be shown, and why it matters
	Run   func(*Journey, context.Context) error
}

// Acts are the story, in order. Each relies on those before it.
var Acts = []Act{
	{"teammate", "A teammate is answered",
		"Lee of the support team writes in the support channel. The gateway verifies Slack's signature, finds Lee in the team, records that, and hands the message on. The agent asks its model and answers in the thread, with keys it does not have.",
		(*Journey).teammate},
	{"outsider", "An outsider is not heard",
		"Mallory writes in the same channel, and Kim, who is of the company but not of the team. Slack gets the same acknowledgement; the agent never sees a word.",
		(*Journey).outsider},
	{"wrong-channel", "A channel that was not named is not heard",
		"Lee writes again, in a channel the Claw was not given.",
		(*Journey).wrongChannel},
	{"forbidden", "What was not granted is denied",
		"Somebody talks the agent into misusing its tools: deleting, speaking and reading elsewhere, a dearer model. Its keys could do all that; its grant cannot.",
		(*Journey).forbidden},
	{"attack", "The agent tries the network",
		"Now the agent is hijacked and runs arbitrary code. It tries the internet, the API server, the metadata address, the DNS, the ledger, its sibling and its own gateway's back doors.",
		(*Journey).attack},
	{"loot", "The agent looks for its keys",
		"It searches its environment, every file it can read and its own memory for the Slack token, the signing secret and the model key. A canary, which it does hold, shows that the search works.",
		(*Journey).loot},
	{"editor", "A namespace editor tries the back door",
		"Eve has Kubernetes' own edit role. In any other namespace she could do all this.",
		(*Journey).editor},
	{"out-of-scope", "An edit out of scope is refused",
		"The owner asks for more than security allows. The refusal names every path, what is allowed, and the way out.",
		(*Journey).outOfScope},
	{"revocation", "Revoked is over",
		"While an answer of the model streams, and a client reconnects as fast as it can, one field is set: state Revoked.",
		(*Journey).revocation},
	{"records", "The records of all that",
		"Every line was durable before it took effect, and is chained to the one before.",
		(*Journey).records},
}
