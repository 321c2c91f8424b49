"""Tables, figures and pages: plain values in, text, SVG or one self-contained HTML file out."""
