//! Mesos v1 messages, Meseta's gRPC services, Mesos JSON, RecordIO and conversions to types.
