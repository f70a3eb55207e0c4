"""Serving pictures: classify with what tl.export wrote, without this package.

    python serve_pictures.py result/served new.jpg
    python serve_pictures.py result/served --port 8000       then: curl -T new.jpg localhost:8000

It needs TensorFlow and Pillow. Each picture gives a line of JSON; it is prepared as for training.
"""

import argparse
import io
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps


def load(folder):
    """Return the model as a function of pictures, its size, and the names of its classes."""
    served = tf.saved_model.load(folder)
    size = served.signatures["serving_default"].structured_input_signature[1]
    height, width = next(iter(size.values())).shape[1:3]
    names = json.loads((Path(folder) / "class_names.json").read_text(encoding="utf8"))
    return served, (width, height), names


def classify(file, model, size, names):
    with Image.open(file) as image:
        image.draft(None, (2 * max(size), 2 * max(size)))  # a large JPEG is decoded smaller
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        pixels = np.asarray(ImageOps.fit(upright.convert("RGB"), size), "float32")
    odds = tf.nn.softmax(model.serve(pixels[None]))[0].numpy()
    return {"class": names[odds.argmax()], "probability": round(float(odds.max()), 4)}


def serve(port, *model):
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            try:
                sent = self.rfile.read(min(int(self.headers["Content-Length"]), 50_000_000))
                code, answer = 200, classify(io.BytesIO(sent), *model)
            except (OSError, TypeError, ValueError) as error:
                code, answer = 400, {"error": f"send one whole picture: {error}"}
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("folder", help="the folder `served` of a result")
    parser.add_argument("pictures", nargs="*", help="files")
    parser.add_argument("--port", type=int, help="answer over HTTP, on this machine; 0: any port")
    options = parser.parse_args()
    try:
        model = load(options.folder)
        for file in options.pictures:
            print(json.dumps({"file": file, **classify(file, *model)}))
        if options.port is not None:
            serve(options.port, *model)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
