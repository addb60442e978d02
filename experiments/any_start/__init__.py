"""Do windows and whole episodes make good policies where starts vary?"""
