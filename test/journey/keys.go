package journey

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/clawstaff/clawstaff/test/fakes/provider"
)

// Keys are the real keys of one run, random each time. The fake providers accept them; the agent never has them.
type Keys struct {
	BotToken, SigningSecret, AnthropicKey string
	SiblingBotToken, SiblingSigningSecret string
	// Canary is what the agent does have, to show that a search would find what is there.
	Canary string
}

// NewKeys makes keys. Each begins with a text of its own, so that a search knows where to look.
func NewKeys() Keys {
	fresh := func(prefix string) string {
		random := make([]byte, 24)
		_, _ = rand.Read(random) // never fails
		return prefix + hex.EncodeToString(random)
	}
	return Keys{
		BotToken: fresh("xoxb-7351-"), SigningSecret: fresh("5ig9-"), AnthropicKey: fresh("sk-ant-api03-"),
		SiblingBotToken: fresh("xoxb-8462-"), SiblingSigningSecret: fresh("5ib1-"),
		Canary: fresh("canary-"),
	}
}

// accepted is what the providers are told.
func (k Keys) accepted() provider.Keys {
	return provider.Keys{
		SlackBotTokens:   map[string]string{ClawBot: k.BotToken, SiblingBot: k.SiblingBotToken},
		AnthropicAPIKeys: []string{k.AnthropicKey},
	}
}

// secrets are the contents of the credential Secrets of the samples.
func (k Keys) secrets() map[string]map[string]string {
	return map[string]map[string]string{
		"triage-slack":     {"bot": k.BotToken, "signing": k.SigningSecret},
		"triage-anthropic": {"key": k.AnthropicKey},
		"nightwatch-slack": {"bot": k.SiblingBotToken, "signing": k.SiblingSigningSecret},
	}
}

// in names the key that a record holds, if it holds one.
func (k Keys) in(record any) string {
	text, err := json.Marshal(record)
	if err != nil {
		return "" // then it is no record
	}
	for name, key := range map[string]string{"Slack bot token": k.BotToken, "Slack signing secret": k.SigningSecret, "Anthropic API key": k.AnthropicKey} {
		if bytes.Contains(text, []byte(key)) {
			return name
		}
	}
	return ""
}

// needle describes a key to who must not be told it.
type needle struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix"`
	Length int    `json:"length"`
	SHA256 string `json:"sha256"`
}

func describe(name, prefix, key string) needle {
	sum := sha256.Sum256([]byte(key))
	return needle{Name: name, Prefix: prefix, Length: len(key), SHA256: hex.EncodeToString(sum[:])}
}

// needles is the argument of the agent's search.
func (k Keys) needles() string {
	data, err := json.Marshal(map[string][]needle{"needles": {
		describe("Slack bot token", "xoxb-7351-", k.BotToken),
		describe("Slack signing secret", "5ig9-", k.SigningSecret),
		describe("Anthropic API key", "sk-ant-api03-", k.AnthropicKey),
		describe("sibling's bot token", "xoxb-8462-", k.SiblingBotToken),
		describe(canaryName, "canary-", k.Canary),
	}})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return string(data)
}

const canaryName = "canary"
