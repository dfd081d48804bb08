package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"go.yaml.in/yaml/v3"
)

// secured is the control plane behind a certificate of its own: kubectl sends no
// token to a server without one.
type secured struct {
	url    string
	ca     []byte // PEM
	server *http.Server
}

func startSecured(h http.Handler) (*secured, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	s := &secured{url: "https://" + ln.Addr().String(), server: newServer(h), ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	go serve(s.server, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}))
	return s, nil
}

// Kubeconfig is a configuration for kubectl, in YAML; it holds the token of the
// world's Kubernetes.
func (w *World) Kubeconfig() ([]byte, error) {
	const name = "lab"
	type object = map[string]any
	b, err := yaml.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []object{{"name": name, "cluster": object{"server": w.control.secured.url, "certificate-authority-data": base64.StdEncoding.EncodeToString(w.control.secured.ca)}}},
		"users":    []object{{"name": name, "user": object{"token": w.secrets.kube}}},
		"contexts": []object{{"name": name, "context": object{"cluster": name, "user": name, "namespace": namespace}}},
	})
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	return b, nil
}
