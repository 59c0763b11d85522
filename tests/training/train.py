"""A training job as its owners have it: reads records from S3, learns, keeps its checkpoints there. Knows no gateway.

Run as `python train.py s3://BUCKET`, with S3_ENDPOINT and the keys in the environment.
"""

from __future__ import annotations

import os
import sys

import tensorflow as tf
import tensorflow_io as tfio  # brings TensorFlow the s3:// filesystem

SAMPLES, EPOCHS = 2000, 5


def write_records(path: str) -> None:
    """Points of a line with a little noise."""
    with tf.io.TFRecordWriter(path) as records:
        for number in range(SAMPLES):
            x = number / SAMPLES
            records.write(tf.io.serialize_tensor(tf.constant([x, 3 * x + 2 + 0.01 * (number % 7 - 3)])).numpy())


def main(bucket: str) -> None:
    """Learn the line, go on from the checkpoint, and say what was seen."""
    print(f"TensorFlow {tf.__version__}, tensorflow-io {tfio.__version__}, S3_ENDPOINT {os.environ['S3_ENDPOINT']}")
    tf.io.gfile.makedirs(f"{bucket}/line")
    write_records(f"{bucket}/line/train.tfrecord")
    print("written:", tf.io.gfile.stat(f"{bucket}/line/train.tfrecord").length, "bytes")

    weights = tf.Variable([0.0, 0.0])
    checkpoint = tf.train.Checkpoint(weights=weights)
    manager = tf.train.CheckpointManager(checkpoint, f"{bucket}/line/checkpoints", max_to_keep=2)
    records = tf.data.TFRecordDataset(f"{bucket}/line/train.tfrecord")
    samples = records.map(lambda record: tf.io.parse_tensor(record, tf.float32)).shuffle(SAMPLES, seed=1)
    optimizer = tf.optimizers.SGD(0.5)
    for _ in range(EPOCHS):
        for batch in samples.batch(20):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((weights[0] * batch[:, 0] + weights[1] - batch[:, 1]) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, weights), weights)])
        manager.save()
    learned = weights.numpy()
    print(f"learned: y = {learned[0]:.1f} x + {learned[1]:.1f}")

    weights.assign([0.0, 0.0])
    checkpoint.restore(manager.latest_checkpoint)
    print("restored:", (weights.numpy() == learned).all())

    with tf.io.gfile.GFile(f"{bucket}/line/notes.txt", "w") as notes:
        notes.write("y = 3 x + 2\n")
    tf.io.gfile.rename(f"{bucket}/line/notes.txt", f"{bucket}/line/README")
    with tf.io.gfile.GFile(f"{bucket}/line/README") as notes:
        print("read back:", notes.read().strip())
    print("names:", " ".join(sorted(tf.io.gfile.listdir(f"{bucket}/line"))))
    tf.io.gfile.rmtree(f"{bucket}/line/checkpoints")
    print("checkpoints left:", tf.io.gfile.exists(f"{bucket}/line/checkpoints"))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    # tensorflow-io 0.37 aborts when the interpreter lets go of its S3 client: "pure virtual method called".
    os._exit(0)
