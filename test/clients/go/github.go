package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-github/v88/github"
)

func withGitHub(f func(*github.Client) (string, error)) (string, error) {
	client, err := github.NewClient(github.WithAuthToken(os.Getenv("GITHUB_TOKEN")))
	if err != nil {
		return "", err
	}
	return f(client)
}

func createIssue(ctx context.Context, owner, repo string) (string, error) {
	return withGitHub(func(c *github.Client) (string, error) {
		issue, _, err := c.Issues.Create(ctx, owner, repo, &github.IssueRequest{Title: new("It is broken")})
		return fmt.Sprint(issue.GetNumber()), err
	})
}

var githubScenarios = map[string]scenario{
	"allowed":  func(ctx context.Context) (string, error) { return createIssue(ctx, "Acme", "Widgets") },
	"resource": func(ctx context.Context) (string, error) { return createIssue(ctx, "acme", "payroll") },
	"comments": func(ctx context.Context) (string, error) {
		return withGitHub(func(c *github.Client) (string, error) {
			comments, _, err := c.Issues.ListComments(ctx, "acme", "widgets", 7, nil)
			var texts []string
			for _, comment := range comments {
				texts = append(texts, comment.GetBody())
			}
			return strings.Join(texts, "|"), err
		})
	},
	"action": func(ctx context.Context) (string, error) {
		return withGitHub(func(c *github.Client) (string, error) {
			_, err := c.Repositories.Delete(ctx, "acme", "widgets")
			return "deleted", err
		})
	},
	"time": func(ctx context.Context) (string, error) {
		return withGitHub(func(c *github.Client) (string, error) {
			issue, _, err := c.Issues.Get(ctx, "acme", "widgets", 7)
			return issue.GetTitle(), err
		})
	},
	"stream": func(ctx context.Context) (string, error) {
		return withGitHub(func(c *github.Client) (string, error) {
			request, err := c.NewRequest(ctx, "GET", "repos/acme/widgets/contents/large.bin", nil)
			if err != nil {
				return "", err
			}
			request.Header.Set("Accept", "application/vnd.github.raw+json")
			p := &pieces{}
			_, err = c.Do(request, p)
			return fmt.Sprint(p.n), err
		})
	},
}
