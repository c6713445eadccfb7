package main

import (
	"context"
	"encoding/base64"
	"os"

	"golang.org/x/oauth2"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/drive/v3"
	"google.golang.org/api/gmail/v1"
	"google.golang.org/api/option"
)

const ours = "support@acme.example"

// key gives what would be found in the agent's environment.
func key() option.ClientOption {
	return option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: os.Getenv("GOOGLE_ACCESS_TOKEN")}))
}

func withCalendar(ctx context.Context, f func(*calendar.Service) (string, error)) (string, error) {
	service, err := calendar.NewService(ctx, key())
	if err != nil {
		return "", err
	}
	return f(service)
}

func send(ctx context.Context, to string) (string, error) {
	service, err := gmail.NewService(ctx, key())
	if err != nil {
		return "", err
	}
	mail := "From: " + ours + "\r\nTo: " + to + "\r\nSubject: Hello\r\n\r\nHello.\r\n"
	sent, err := service.Users.Messages.Send("me", &gmail.Message{Raw: base64.URLEncoding.EncodeToString([]byte(mail))}).Do()
	if err != nil {
		return "", err
	}
	return sent.Id, nil
}

var googleScenarios = map[string]scenario{
	"allowed": func(ctx context.Context) (string, error) {
		return withCalendar(ctx, func(s *calendar.Service) (string, error) {
			at := &calendar.EventDateTime{DateTime: "2026-12-01T10:00:00Z"}
			event, err := s.Events.Insert(ours, &calendar.Event{Summary: "Call", Start: at, End: at}).Do()
			if err != nil {
				return "", err
			}
			return event.Id, nil
		})
	},
	"send":          func(ctx context.Context) (string, error) { return send(ctx, "lee@acme.example") },
	"sendElsewhere": func(ctx context.Context) (string, error) { return send(ctx, "attacker@elsewhere.example") },
	"action": func(ctx context.Context) (string, error) {
		return withCalendar(ctx, func(s *calendar.Service) (string, error) { return "deleted", s.Events.Delete(ours, "e1").Do() })
	},
	"resource": func(ctx context.Context) (string, error) {
		return withCalendar(ctx, func(s *calendar.Service) (string, error) {
			events, err := s.Events.List("ceo@acme.example").Do()
			if err != nil {
				return "", err
			}
			return events.Summary, nil
		})
	},
	"time": func(ctx context.Context) (string, error) {
		return withCalendar(ctx, func(s *calendar.Service) (string, error) {
			event, err := s.Events.Get(ours, "e1").Do()
			if err != nil {
				return "", err
			}
			return event.Id, nil
		})
	},
	"stream": func(ctx context.Context) (string, error) {
		service, err := drive.NewService(ctx, key())
		if err != nil {
			return "", err
		}
		file, err := service.Files.Get("file-1").Download()
		if err != nil {
			return "", err
		}
		defer file.Body.Close()
		return length(file.Body)
	},
}
