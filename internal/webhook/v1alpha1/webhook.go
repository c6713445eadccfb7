// Package v1alpha1 answers the API server's questions about our kinds: what
// schema and CEL cannot say, because it takes another object to say it. It looks
// at no child, changes nothing, and refuses with all there is to mend in one message.
package v1alpha1

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/directory"
)

// Options are what the validators need to know.
type Options struct {
	// Catalogue of connectors.
	Catalogue *connector.Catalogue
	// Namespace of the operator: never a cage.
	Namespace string
	// ManagerUser is the manager's username at the API server, whose own writes are not judged.
	// Left out, it is that of the service account clawstaff-manager in Namespace.
	ManagerUser string
	// Directory reads who is who. Left out, ConfigMaps of Namespace are read from the API server each time.
	Directory *directory.Reader
	// Clock tells what is past. Left out, it is the real one.
	Clock clock.PassiveClock
}

// Setup registers a validator for each kind that people write.
func Setup(mgr ctrl.Manager, opts Options) error {
	if opts.Catalogue == nil || opts.Namespace == "" {
		return errors.New("webhook: Catalogue and Namespace are required")
	}
	if opts.ManagerUser == "" {
		opts.ManagerUser = fmt.Sprintf("system:serviceaccount:%s:%s", opts.Namespace, v1alpha1.ManagedBy)
	}
	if opts.Directory == nil {
		opts.Directory = &directory.Reader{Client: mgr.GetAPIReader(), Namespace: opts.Namespace}
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	index := func(o client.Object) []string {
		if p, ok := o.(*v1alpha1.ClawPolicy); ok {
			return selectorKeys(p)
		}
		return nil
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.ClawPolicy{}, policySelects, index); err != nil {
		return fmt.Errorf("index ClawPolicies by whom they select: %w", err)
	}
	j := &judge{Options: opts, cached: mgr.GetClient(), live: mgr.GetAPIReader(), reviews: mgr.GetClient()}
	return errors.Join(
		ctrl.NewWebhookManagedBy(mgr, &v1alpha1.ClawOrganization{}).WithValidator(&organizationValidator{j}).Complete(),
		ctrl.NewWebhookManagedBy(mgr, &v1alpha1.ClawPolicy{}).WithValidator(&policyValidator{j}).Complete(),
		ctrl.NewWebhookManagedBy(mgr, &v1alpha1.ClawCredential{}).WithValidator(&credentialValidator{j}).Complete(),
		ctrl.NewWebhookManagedBy(mgr, &v1alpha1.Claw{}).WithValidator(&clawValidator{j}).Complete(),
	)
}

// judge is what the validators share.
type judge struct {
	Options
	cached  client.Reader
	live    client.Reader
	reviews client.Writer // creates SubjectAccessReviews, which are questions and leave nothing behind
}

// findings are what is wrong with an object, and what is only worth a word.
type findings struct {
	errs     field.ErrorList
	more     int             // refusals that are not told one by one
	told     map[string]bool // what is refused already by something in it
	warnings admission.Warnings
}

// maxRefusals are told one by one: nobody reads more, and an answer must not grow with what is sent.
const maxRefusals = 64

func (f *findings) refuse(path, format string, args ...any) {
	if len(f.errs) == maxRefusals {
		f.more++
		return
	}
	f.errs = append(f.errs, field.Forbidden(field.NewPath(path), fmt.Sprintf(format, args...)))
}

// maxWarnings are given in one answer. The API server cuts all of them short where they are too many.
const maxWarnings = 16

func (f *findings) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}

// said are the warnings of an answer.
func (f *findings) said() admission.Warnings {
	if more := len(f.warnings) - maxWarnings; more > 1 {
		return append(f.warnings[:maxWarnings:maxWarnings], fmt.Sprintf("and %d more warnings", more))
	}
	return f.warnings
}

// answer turns findings into the webhook's answer.
func (f *findings) answer(obj client.Object, kind string) (admission.Warnings, error) {
	if len(f.errs) == 0 {
		return f.said(), nil
	}
	if f.more > 0 {
		f.errs = append(f.errs, field.Forbidden(field.NewPath("spec"), fmt.Sprintf("and %d more like these: mend these first to see the rest", f.more)))
	}
	// What is unwise about what is refused would only bury the reasons.
	return nil, apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind(kind).GroupKind(), obj.GetName(), f.errs)
}

// decide judges by the cache, and by the API server itself before it refuses: what somebody applied a
// moment ago may not be in the cache yet.
func (j *judge) decide(ctx context.Context, obj client.Object, kind string, examine func(client.Reader, *findings) error) (admission.Warnings, error) {
	for _, reader := range []client.Reader{j.cached, j.live} {
		var f findings
		if err := examine(reader, &f); err != nil {
			return nil, apierrors.NewInternalError(fmt.Errorf("cannot judge this now, try again: %w", err))
		}
		if len(f.errs) == 0 || reader == j.live {
			return f.answer(obj, kind)
		}
	}
	return nil, nil
}

// byManager reports whether the manager itself asks.
func (j *judge) byManager(ctx context.Context) bool {
	req, err := admission.RequestFromContext(ctx)
	return err == nil && req.UserInfo.Username == j.ManagerUser
}

// change is how much of an object an update changes.
type change int

const (
	changeNothing  change = iota // nothing that is judged, or the object is being deleted
	changeMetadata               // labels, annotations and such
	changeSpec
)

// changed tells what an update changes; specs are those of old and obj.
func changed(old, obj client.Object, oldSpec, spec any) change {
	switch {
	case obj.GetDeletionTimestamp() != nil:
		return changeNothing
	case !apiequality.Semantic.DeepEqual(oldSpec, spec):
		return changeSpec
	case !apiequality.Semantic.DeepEqual(judgedMetadata(old), judgedMetadata(obj)):
		return changeMetadata
	default:
		return changeNothing
	}
}

func judgedMetadata(obj client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Labels: obj.GetLabels(), Annotations: obj.GetAnnotations(),
		OwnerReferences: obj.GetOwnerReferences(), Finalizers: obj.GetFinalizers(),
	}
}

// reservedKeys refuses labels and annotations under clawstaff.dev/ that are set, changed or removed. Old is
// nil when the object is created.
func reservedKeys(f *findings, old, obj client.Object) {
	var oldLabels, oldAnnotations map[string]string
	if old != nil {
		oldLabels, oldAnnotations = old.GetLabels(), old.GetAnnotations()
	}
	reservedKeysOf(f, "metadata.labels", oldLabels, obj.GetLabels())
	reservedKeysOf(f, "metadata.annotations", oldAnnotations, obj.GetAnnotations())
}

func reservedKeysOf(f *findings, path string, old, now map[string]string) {
	for _, key := range keysOf(old, now) {
		before, was := old[key]
		after, is := now[key]
		if reserved(key) && (was != is || before != after) {
			f.refuse(fmt.Sprintf("%s[%s]", path, key), "keys under %s/ are the operator's: leave this one as it was", v1alpha1.GroupVersion.Group)
		}
	}
}

// reserved reports whether a key is under clawstaff.dev or a name below it.
func reserved(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	group := v1alpha1.GroupVersion.Group
	return ok && (domain == group || strings.HasSuffix(domain, "."+group))
}
