package main

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The AWS SDK for Go, version 2.
func ofSDK(endpoint, bucket string) ([]call, error) {
	settings, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(region))
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		o.BaseEndpoint = &endpoint
		o.UsePathStyle = true
		o.Retryer = aws.NopRetryer{}
	})
	key := aws.String(object)
	return []call{
		func(ctx context.Context) error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: key, Body: strings.NewReader(body)})
			return err
		},
		func(ctx context.Context) error {
			found, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: key})
			if err != nil {
				return err
			}
			return readAll(found.Body)
		},
		func(ctx context.Context) error {
			_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
			return err
		},
	}, err
}
