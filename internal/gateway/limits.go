package gateway

import (
	"fmt"
	"net/http"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/gateway/meter"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// What a grant limits is counted by the meter; here is where each limit is asked, and what is said of it.

// The rules of what is refused because of its size.
const (
	ruleRequestSize = "limits.requestKiB"
	ruleAnswerSize  = "limits.responseKiB"
)

// limit counts the call, and refuses it if that is more than the grant's limits. What is refused was not counted.
func (ex *exchange) limit() error {
	m, limits, now := ex.s.p.cfg.Meter, ex.snap.Grant.Limits, ex.s.p.cfg.Clock.Now()
	leave, ok := m.Enter(limits.ConcurrentRequests)
	if !ok {
		return crowded(limits.ConcurrentRequests)
	}
	ex.leave = leave
	return ex.take(now)
}

// take counts one call, or one message of a call that goes on.
func (ex *exchange) take(now time.Time) error {
	m, limits := ex.s.p.cfg.Meter, ex.snap.Grant.Limits
	for _, key := range ex.models() {
		if resets, ok := m.Tokens(key, limits.TokensPerDay, now); !ok {
			return exhausted(limits.TokensPerDay, now, resets)
		}
	}
	if wait, ok := m.Take(limits.RequestsPerMinute, now); !ok {
		return limited(limits.RequestsPerMinute, now, wait)
	}
	return nil
}

// models are the keys under which a call of models counts tokens.
func (ex *exchange) models() (keys []string) {
	if ex.call.Operation.Authority != policy.AuthorityModel {
		return nil
	}
	for _, r := range ex.call.Resources {
		if r.Type == policy.ResourceModel {
			keys = append(keys, audit.TokenKey(ex.connector.Name, r.Name))
		}
	}
	return keys
}

func crowded(limit int32) *Denial {
	return &Denial{
		Status: http.StatusTooManyRequests, Code: codeLimited, Rule: meter.ConcurrentRule, Retry: time.Second, Reason: meter.ConcurrentReason(limit),
	}
}

func exhausted(limit int64, now, resets time.Time) *Denial {
	return &Denial{
		Status: http.StatusTooManyRequests, Code: codeLimited, Rule: meter.TokensRule, Retry: resets.Sub(now), Reason: meter.TokensReason(limit, resets),
	}
}

// answerLimit is how many bytes an answer may have; 0 is no limit.
func (ex *exchange) answerLimit() int64 { return int64(ex.snap.Grant.Limits.ResponseKiB) << 10 }

func answerTooLarge(limit int64) string {
	return fmt.Sprintf("the answer is larger than the limit of %d KiB", limit>>10)
}
