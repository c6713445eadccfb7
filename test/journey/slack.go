package journey

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// Delivery addresses a message to a Claw's gateway as Slack does.
func (j *Journey) Delivery(ctx context.Context, claw string, message provider.Message) (provider.Delivery, error) {
	var secret corev1.Secret
	if err := j.Client.Get(ctx, ctrlclient.ObjectKey{Namespace: Namespace, Name: claw + "-agent"}, &secret); err != nil {
		return provider.Delivery{}, fmt.Errorf("the certificate of the Claw's gateway: %w", err)
	}
	ip, err := j.clusterIP(ctx, Namespace, claw+"-gateway")
	if err != nil {
		return provider.Delivery{}, err
	}
	signing := map[string]string{Claw: j.Keys.SigningSecret, Sibling: j.Keys.SiblingSigningSecret}[claw]
	return provider.Delivery{
		URL:     fmt.Sprintf("https://%s-gateway.%s.svc:9443/hooks/slack", claw, Namespace),
		Address: ip + ":9443", CA: string(secret.Data["ca.crt"]), SigningSecret: signing, Message: message,
	}, nil
}

// Write has somebody write in a channel. Slack must get its acknowledgement, whoever it is.
func (j *Journey) Write(ctx context.Context, claw, user, channel, text string) (provider.Receipt, error) {
	delivery, err := j.Delivery(ctx, claw, provider.Message{User: user, Channel: channel, Text: text})
	if err != nil {
		return provider.Receipt{}, err
	}
	var receipt provider.Receipt
	// Slack tries again, too, when nobody takes its call: for a moment after a gateway was replaced, or
	// while nothing can be recorded.
	err = j.Eventually(ctx, 15*time.Second, "the gateway to take Slack's event", func(ctx context.Context) error {
		receipt, err = j.Fakes.Deliver(ctx, delivery)
		if err == nil && receipt.Status >= 500 {
			err = fmt.Errorf("it answers %d %q", receipt.Status, receipt.Body)
		}
		return err
	})
	if err != nil {
		return receipt, err
	}
	if receipt.Status != 200 {
		return receipt, fmt.Errorf("the gateway answers Slack %d %q", receipt.Status, receipt.Body)
	}
	return receipt, nil
}

// reply is what the agent posts.
type reply struct {
	Channel string `json:"channel"`
	Thread  string `json:"thread_ts"`
	Text    string `json:"text"`
}

// Ask writes to a Claw and returns what it answers in the thread.
func (j *Journey) Ask(ctx context.Context, claw, user, channel, text string, patience time.Duration) (string, error) {
	receipt, err := j.Write(ctx, claw, user, channel, text)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var answer reply
	call, err := j.Fakes.Await(ctx, func(c provider.Call) bool {
		return c.Host == provider.SlackHost && c.Path == "/api/chat.postMessage" &&
			json.Unmarshal(c.Body, &answer) == nil && answer.Thread == receipt.TS
	})
	if err != nil {
		return "", fmt.Errorf("no answer in Slack to %q: %w", shorten(text, 40), err)
	}
	if call.Key != "valid" || answer.Channel != channel {
		return "", fmt.Errorf("the answer came with a key that is %s, in channel %s", call.Key, answer.Channel)
	}
	return answer.Text, nil
}
