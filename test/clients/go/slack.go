package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/slack-go/slack"
)

func slackClient() *slack.Client { return slack.New(os.Getenv("SLACK_BOT_TOKEN")) }

func post(ctx context.Context, channel string) (string, error) {
	_, ts, err := slackClient().PostMessageContext(ctx, channel, slack.MsgOptionText("hello", false))
	return ts, err
}

var slackScenarios = map[string]scenario{
	"allowed": func(ctx context.Context) (string, error) { return post(ctx, "C0SUPPORT") },
	"history": func(ctx context.Context) (string, error) {
		got, err := slackClient().GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: "C0SUPPORT", Limit: 50})
		if err != nil {
			return "", err
		}
		var texts []string
		for _, m := range got.Messages {
			texts = append(texts, m.Text)
		}
		return strings.Join(texts, "|"), nil
	},
	"action": func(ctx context.Context) (string, error) {
		_, ts, err := slackClient().DeleteMessageContext(ctx, "C0SUPPORT", "1.2")
		return ts, err
	},
	"resource": func(ctx context.Context) (string, error) { return post(ctx, "C0FINANCE") },
	"time": func(ctx context.Context) (string, error) {
		c, err := slackClient().GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: "C0SUPPORT"})
		return fmt.Sprint(c), err
	},
	"stream": func(ctx context.Context) (string, error) {
		p := &pieces{}
		err := slackClient().GetFileContext(ctx, "https://files.slack.com/files-pri/T01ACME-F0REPORT/report.bin", p)
		return fmt.Sprint(p.n), err
	},
}
