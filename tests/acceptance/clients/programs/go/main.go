// Calls an object storage over and over, until its stdin ends, and prints one line of JSON for each call.
//
//	clients sdk|minio ENDPOINT BUCKET MILLISECONDS
//
// The key comes from wherever the environment tells the library to take it. Nothing is tried twice.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"
)

const (
	region = "eu-north-1"
	object = "object"
	body   = "body"
)

type call func(context.Context) error

func main() {
	libraries := map[string]func(endpoint, bucket string) ([]call, error){"sdk": ofSDK, "minio": ofMinio}
	calls, err := libraries[os.Args[1]](os.Args[2], os.Args[3])
	if err != nil {
		panic(err)
	}
	pause, err := time.ParseDuration(os.Args[4] + "ms")
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	said := json.NewEncoder(os.Stdout)
	for number := 0; ; number++ {
		problem := ""
		if err := calls[number%len(calls)](context.Background()); err != nil {
			problem = err.Error()
		}
		said.Encode(map[string]string{"error": problem})
		select {
		case <-ended:
			return
		case <-time.After(pause):
		}
	}
}

func readAll(from io.ReadCloser) error {
	defer from.Close()
	_, err := io.Copy(io.Discard, from)
	return err
}
