{{/* What the admission policies of the floor have in common. */}}

{{/* Cages. Whatever labels somebody puts on them, Kubernetes' own namespaces and ours are none. */}}
{{- define "clawstaff.cages" -}}
matchExpressions:
  - {key: clawstaff.dev/organization, operator: Exists}
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, kube-public, kube-node-lease, default, {{ .Release.Namespace }}]}
{{- end -}}

{{/* The right to enter a cage. Cluster administrators have it; "*" on our own group does not give it. */}}
{{- define "clawstaff.breakglass" -}}
authorizer.group('breakglass.clawstaff.dev').resource('cages').namespace(request.namespace).check('enter').allowed()
{{- end -}}

{{/* "resource" or "resource/subresource". */}}
{{- define "clawstaff.what" -}}
has(request.subResource) && request.subResource != '' ? request.resource.resource + '/' + request.subResource : request.resource.resource
{{- end -}}

{{/* Those of Kubernetes' own controllers that take down what nobody owns any more. */}}
{{- define "clawstaff.collectors" -}}
['system:kube-controller-manager', 'system:serviceaccount:kube-system:generic-garbage-collector', 'system:serviceaccount:kube-system:namespace-controller']
{{- end -}}

{{/* The ClusterRoles that people are given in a cage. */}}
{{- define "clawstaff.peopleRoles" -}}
['clawstaff-member', 'clawstaff-security', 'clawstaff-auditor', 'clawstaff-admin']
{{- end -}}

{{/* The binding that puts a policy of the given name in force: (list . "name"). */}}
{{- define "clawstaff.inForce" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 }}
  labels: {{- include "clawstaff.labels" (index . 0) | nindent 4 }}
spec:
  policyName: {{ index . 1 }}
  validationActions: [Deny]
{{- end -}}
