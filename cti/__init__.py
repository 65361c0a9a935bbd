"""Kikitori: the call recorder and CTI controller beside an Asterisk PBX."""
