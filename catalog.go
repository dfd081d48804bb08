package prunella

// Spec describes one read or action that a skill may name; package action
// lists them, skill lint checks against them.
type Spec struct {
	Name    string      `json:"name"`
	Action  bool        `json:"action"` // false for a read
	Effect  Effect      `json:"effect"`
	Doc     string      `json:"doc"` // one sentence
	Params  []ParamSpec `json:"params"`
	Results []string    `json:"results"` // fields of a read's result, "lacking: services that reject the signer's key"
}

// ParamSpec describes one parameter.
type ParamSpec struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // text | number | bool | duration | list | any
	Required bool   `json:"required"`
	Doc      string `json:"doc"`
}
