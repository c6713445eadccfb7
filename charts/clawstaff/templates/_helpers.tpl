{{/* The manager's username at the API server. */}}
{{- define "clawstaff.managerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:clawstaff-manager
{{- end -}}

{{- define "clawstaff.labels" -}}
app.kubernetes.io/part-of: clawstaff
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* What every container of ours runs with: the restricted profile and a read-only root. */}}
{{- define "clawstaff.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "clawstaff.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}
