package main

import (
	"context"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// minio-go, with the key from the AWS files that the environment names.
func ofMinio(endpoint, bucket string) ([]call, error) {
	client, err := minio.New(strings.TrimPrefix(endpoint, "http://"), &minio.Options{
		Creds:      credentials.NewFileAWSCredentials("", ""),
		Region:     region,
		MaxRetries: 1,
	})
	return []call{
		func(ctx context.Context) error {
			_, err := client.PutObject(ctx, bucket, object, strings.NewReader(body), int64(len(body)), minio.PutObjectOptions{})
			return err
		},
		func(ctx context.Context) error {
			found, err := client.GetObject(ctx, bucket, object, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			return readAll(found)
		},
		func(ctx context.Context) error {
			for each := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{}) {
				if each.Err != nil {
					return each.Err
				}
			}
			return nil
		},
	}, err
}
