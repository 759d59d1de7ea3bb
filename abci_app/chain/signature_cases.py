"""Ed25519 edge cases on which libraries differ, with the answers that this chain's consensus rests on.

Points of small, mixed and prime order, encodings beyond the field, scalars beyond the group order, in the manner of
"Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020). The application refuses to start when its libsodium
answers any of them differently: running on would risk a fork. tests/kit/edwards.py judges them independently.

Each case: public key, signature, message, is the key a valid point, is the signature valid.
"""

# fmt: off
_CASES: tuple[tuple[str, str, str, bytes, bool, bool], ...] = (
    # an ordinary signature
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", True, True),
    # an empty message
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "9a68e25173c35e1870f6996f4faf5394eba0f013a8975544a98e5c453751b00e",
     b"", True, True),
    # another message
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case.", True, False),
    # s + L: the same signature in another form
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "e08d3479abc068843c61f957db5dca5a6c6e701139c34689c5fe47f577af0b17",
     b"openledger signature edge case", True, False),
    # s + 8L
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "5b59ed036476e9ec18abbeccf132e3ec6c6e701139c34689c5fe47f577af0b87",
     b"openledger signature edge case", True, False),
    # s = L
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
     b"openledger signature edge case", True, False),
    # the highest bit of s set
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b87",
     b"openledger signature edge case", True, False),
    # s = 0 and R = 0
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "0000000000000000000000000000000000000000000000000000000000000000",
     "0000000000000000000000000000000000000000000000000000000000000000",
     b"openledger signature edge case", True, False),
    # sign bit of R flipped
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c345",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", True, False),
    # sign bit of the key flipped
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac50e4",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", True, False),
    # key 0 times the point of order 8, equation holds
    ("0100000000000000000000000000000000000000000000000000000000000000",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x00", False, False),
    # key 1 times the point of order 8, equation holds
    ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x02", False, False),
    # key 2 times the point of order 8, equation holds
    ("0000000000000000000000000000000000000000000000000000000000000080",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x03", False, False),
    # key 3 times the point of order 8, equation holds
    ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x01", False, False),
    # key 4 times the point of order 8, equation holds
    ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x00", False, False),
    # key 5 times the point of order 8, equation holds
    ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x01", False, False),
    # key 6 times the point of order 8, equation holds
    ("0000000000000000000000000000000000000000000000000000000000000000",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x00", False, False),
    # key 7 times the point of order 8, equation holds
    ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case\x00", False, False),
    # key y = p (0)
    ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = p + 1 (the identity)
    ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = p - 1
    ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key identity with sign bit
    ("0100000000000000000000000000000000000000000000000000000000000080",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = p + 1 with sign bit
    ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = -1 with sign bit
    ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = p with sign bit
    ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "2cd5e4b300a87351be402574e60baabf471ab1facbfb67db846087f02e853b0d",
     b"openledger signature edge case", False, False),
    # key y = p + 3, not canonical
    ("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", False, False),
    # key not on the curve
    ("0200000000000000000000000000000000000000000000000000000000000000",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", False, False),
    # key of all ff
    ("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f3b93e1c915d562c66c401b5fc63eb456c6e701139c34689c5fe47f577af0b07",
     b"openledger signature edge case", False, False),
    # mixed-order key (+1T8), equation without cofactor holds
    ("0a857c9a351a7ad52ae64f848d167eae8fe3c7ab678ebc36f645b99d27248058",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f1096d9881de7e64dc95bbf180ec7130a2ade4bb28ec72586a4aa016f458fd0a",
     b"openledger signature edge case\x01", False, True),
    # mixed-order key (+1T8), only the equation with cofactor holds
    ("0a857c9a351a7ad52ae64f848d167eae8fe3c7ab678ebc36f645b99d27248058",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "d862d19cd8cea0890fbfe51e05b90746dedc97b5d324668ee6f59c02f5e72104",
     b"openledger signature edge case\x00", False, False),
    # mixed-order key (+2T8), equation without cofactor holds
    ("68067310da9905792dfef44740c1adcefcb1c92d2c22642705df5864374acb24",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "f5f5f419769fd1cad78c1c60b2a28d9536adbc88bf79468b928d57beefb74b0f",
     b"openledger signature edge case\x06", False, True),
    # mixed-order key (+2T8), only the equation with cofactor holds
    ("68067310da9905792dfef44740c1adcefcb1c92d2c22642705df5864374acb24",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "486f2fabfcfb7a0d948d965c524e557f8e641fa8cd4a68d4b2066aa08dd7f309",
     b"openledger signature edge case\x00", False, False),
    # mixed-order key (+4T8), equation without cofactor holds
    ("1b45eff181d67a110617d5181764b96e7512dbf60d97437b95a28c2f3853af9b",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "b1d9cadb6955530afce3443733f95aa0d39b8b1a6e7d9bec6143798d084f680e",
     b"openledger signature edge case\x01", False, True),
    # mixed-order key (+4T8), only the equation with cofactor holds
    ("1b45eff181d67a110617d5181764b96e7512dbf60d97437b95a28c2f3853af9b",
     "95a601994c56c6d44859a088d27d901e3566c0ae6379e04bdd180c39e582c3c5",
     "0fb0f3b54135513db80e682459a311ac9a3d018b77d205cb6cb1b0c1436a2808",
     b"openledger signature edge case\x00", False, False),
    # R + 1T8: only the equation with cofactor holds
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "2189791943e0be8e98fd0c0353bd2d334901218a49676d86db4128ba8ecd2b91",
     "743556cd1e89de7b7caee70e56eab2515facf28c10381de339042c79b9c9bf0a",
     b"openledger signature edge case", True, False),
    # R + 4T8: only the equation with cofactor holds
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "5859fe66b3a9392bb7a65f772d826fe1ca993f519c861fb422e7f3c61a7d3c3a",
     "fdb763e6114e9be17608082728df979dc4981034fc572a6a0bf64488b7d34203",
     b"openledger signature edge case", True, False),
    # R = 0 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "0100000000000000000000000000000000000000000000000000000000000000",
     "3f137859d13196f5329d210a94e99dff0c0c2f6550acff40ec78f18aa579430f",
     b"openledger signature edge case", True, False),
    # R = 1 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
     "e3cb8fba36077f7ca5f5b137c789f0ee184c7d9d29cbf6098a64dbdbe7377606",
     b"openledger signature edge case", True, False),
    # R = 2 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "0000000000000000000000000000000000000000000000000000000000000080",
     "ce948caf1daf5452ddc63e0e3a60defd40ca17a7fc4f90539551e515dec5a702",
     b"openledger signature edge case", True, False),
    # R = 3 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
     "de49316fbc62c303914f35232ff4caea901dea3688fc970294fb336d0e3e8e03",
     b"openledger signature edge case", True, False),
    # R = 4 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "d64ede4f502b8d18a021ad23f64a3167045715adb123f761b906d884e3fdea01",
     b"openledger signature edge case", True, False),
    # R = 5 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
     "d1e15584c8a5ad9c671c905c1dac954ae13d8770cf20c3ca337af7bcf7e34e02",
     b"openledger signature edge case", True, False),
    # R = 6 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "0000000000000000000000000000000000000000000000000000000000000000",
     "c4c4f6d5fa9433dc167c3a670e3e6faa92281d9e0752f0bc67ceb82fe227fc0f",
     b"openledger signature edge case", True, False),
    # R = 7 times the point of order 8
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "cb7a8500bc08922f46341c5c00bc71bdefb32a217d1cabb79cc27a848a5a7805",
     b"openledger signature edge case", True, False),
    # R = identity as y = p + 1
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
     "f9f5ab2400a7dfdd84b08b5a5154797ec98ec95112b791180f24fe1a2a912c05",
     b"openledger signature edge case", True, False),
    # R = identity with sign bit
    ("d2ba100e7e2985eef9e82ae7e89b46918aed2409f268bc846a5d73d0c7ac5064",
     "0100000000000000000000000000000000000000000000000000000000000080",
     "88831c1a54b74b2b896bfb373c4e354d90288443666ec78531a6ce42ddf7c204",
     b"openledger signature edge case", True, False),
)
# fmt: on

SIGNATURE_CASES: tuple[tuple[bytes, bytes, bytes, bool, bool], ...] = tuple(
    [
        (bytes.fromhex(key), bytes.fromhex(nonce + scalar), message, point_is_valid, is_valid)
        for key, nonce, scalar, message, point_is_valid, is_valid in _CASES
    ]
)
