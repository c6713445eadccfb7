// Package v1alpha1 is the contract of ClawStaff: the five kinds that people and
// the operator exchange. It imports nothing else of this module.
//
// Everywhere in it, a list that is absent or empty means nobody or nothing;
// "everybody the visibility admits" is written ["*"].
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=clawstaff.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "clawstaff.dev", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name generated code expects.
var SchemeGroupVersion = GroupVersion

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ClawOrganization{}, &ClawOrganizationList{},
		&ClawPolicy{}, &ClawPolicyList{},
		&ClawCredential{}, &ClawCredentialList{},
		&Claw{}, &ClawList{},
		&ClawGrant{}, &ClawGrantList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
