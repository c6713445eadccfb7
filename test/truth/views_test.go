package truth

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// What a view shows where nothing is wrong.
const (
	given = "given"
	open  = "yes"
)

func verdict(v policy.Verdict) string {
	if v.Allowed {
		return open
	}
	return "no: " + cmp.Or(strings.TrimPrefix(v.Rule, policy.RuleDefault), v.Reason)
}

// hears shows whether the Claw hears somebody in a channel of Slack.
func hears(actor, channel string) view {
	return view{what: fmt.Sprintf("the Claw hears %s in %s", actor, channel), pure: func(w *world) string {
		return verdict(policy.DecideMessage(w.granted(), policy.Message{Connector: "slack", Actor: actor, Channel: channel, At: w.now}))
	}}
}

// does shows whether the Claw may do something to a user of Slack by its tools.
func does(action v1alpha1.Action, user string) view {
	return call(policy.Call{Connector: "slack", Operation: "users.info", Action: action, Authority: policy.AuthorityTool,
		Resources: []policy.Resource{{Type: "user", Name: user}}})
}

// asks shows whether the Claw may ask a model.
func asks(model string) view {
	return call(policy.Call{Connector: "anthropic", Operation: "messages.create", Action: v1alpha1.ActionWrite, Authority: policy.AuthorityModel,
		Resources: []policy.Resource{{Type: policy.ResourceModel, Name: model}}})
}

// speaks shows whether the Claw may speak in a channel of Slack.
func speaks(channel string) view {
	return call(policy.Call{Connector: "slack", Operation: "chat.postMessage", Action: v1alpha1.ActionWrite, Authority: policy.AuthorityChannel,
		Resources: []policy.Resource{{Type: policy.ResourceChannel, Name: channel}}})
}

func call(c policy.Call) view {
	return view{what: fmt.Sprintf("the Claw may call %s of %s on %v", c.Operation, c.Connector, c.Resources), pure: func(w *world) string {
		c := c
		c.At = w.now
		return verdict(policy.DecideCall(w.granted(), c))
	}}
}

// uses shows with which credential a call is made.
func uses(c policy.Call) view {
	return view{what: "the credential of a call of " + c.Operation, pure: func(w *world) string {
		c := c
		c.At = w.now
		return policy.DecideCall(w.granted(), c).Credential
	}}
}

// withheld shows why something asked for is not given, and by whom.
func withheld(path string) view {
	return view{what: "what is withheld at " + path, pure: func(w *world) string {
		for _, item := range policy.Compile(w.input()).Withheld {
			if item.Path == path {
				return strings.TrimSuffix(string(item.Reason)+" by "+item.Policy, " by ")
			}
		}
		return given
	}}
}

// grants shows a part of the compiled grant.
func grants(what string, part func(*v1alpha1.ClawGrantSpec) any) view {
	return view{what: what + " in the grant", pure: func(w *world) string { return fmt.Sprint(part(w.granted())) }}
}

// runs shows a part of an object that is made for the Claw: "StatefulSet triage-agent", "spec.replicas".
func runs(object, path string) view {
	return view{what: path + " of " + object, pure: func(w *world) string {
		objects, err := cage.ForClaw(w.clawInput())
		if err != nil {
			return err.Error()
		}
		return part(objects, object, path)
	}}
}

// cages shows a part of an object that is made for the organization.
func cages(object, path string) view {
	return view{what: path + " of " + object, pure: func(w *world) string {
		return part(cage.ForOrganization(w.organization), object, path)
	}}
}

func (w *world) clawInput() cage.ClawInput {
	in := cage.ClawInput{
		Settings: cage.Settings{OperatorNamespace: "clawstaff-system", GatewayImage: "gateway:test"},
		Platform: cage.Platform{APIServerPorts: []int32{6443}},
		Claw:     w.claw, Grant: *w.granted(), GatewayIP: "10.96.0.7",
		Keys:        cage.Keys{CACert: []byte("CERT"), CAKey: []byte("KEY"), ProxyPassword: []byte("pw"), ResignSecret: []byte("rs")},
		Credentials: map[string][]byte{},
		Agent:       cage.Agent{Replicas: 1},
	}
	for _, c := range in.Grant.Credentials {
		for _, slot := range c.Slots {
			in.Credentials[cage.CredentialKey(string(c.Name), slot)] = []byte("value of " + slot)
		}
	}
	return in
}

// part finds a value in one of some objects: names of fields and indices, with dots between.
func part(objects []cage.Object, object, path string) string {
	kind, name, _ := strings.Cut(object, " ")
	for _, o := range objects {
		if *o.GetKind() != kind || *o.GetName() != name {
			continue
		}
		data, err := json.Marshal(o)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(dig(data, path))
	}
	return "there is none"
}

// dig finds a value in JSON: names of fields and indices, with dots between; a dot in a name is written with a backslash.
func dig(data []byte, path string) any {
	var at any
	if err := json.Unmarshal(data, &at); err != nil {
		return err
	}
	const dot = "\x00"
	for _, step := range strings.Split(strings.ReplaceAll(path, `\.`, dot), ".") {
		step = strings.ReplaceAll(step, dot, ".")
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			switch {
			case err != nil:
				at = named(v, step)
			case i < len(v):
				at = v[i]
			default:
				at = nil
			}
		default:
			return nil
		}
	}
	return at
}

// named finds the entry of a list that has a name.
func named(list []any, name string) any {
	for _, e := range list {
		if m, ok := e.(map[string]any); ok && m["name"] == name {
			return m
		}
	}
	return nil
}
