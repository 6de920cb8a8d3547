import TestSupport
import Testing

@testable import ControlProtocol

@Suite struct JSONTests {
    @Test(
        arguments: [
            ("null", JSON.null), ("true", true), ("false", false), (" \t\r\n0 ", 0), ("-0", 0), ("17", 17),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)), ("1.0", .number(1)),
            ("-1.5e+2", .number(-150)), ("1E2", .number(100)), ("0.1", .number(0.1)), ("1e-400", .number(0)),
            ("0e5", .number(0)),
            (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
            (#""\u00e9\uD834\udd1e\u0000""#, "é𝄞\0"),
            (#""é𝄞\#u{7f}""#, "é𝄞\u{7f}"), ("[]", []), ("[ ]", []), ("[1,[2]]", [1, [2]]), ("{}", [:]), ("{ }", [:]),
            (#"{"a":{"b":[]},"c":null}"#, .object(["a": ["b": []], "c": .null])), (#"{"":1," ":2}"#, ["": 1, " ": 2]),
            (
                "{\"e\u{301}\":1,\"\u{e9}\":2}",
                .object(.init(distinct: [.init(key: "e\u{301}", value: 1), .init(key: "\u{e9}", value: 2)]))
            ),
        ] as [(String, JSON)])
    func acceptsWhatIsJSON(text: String, value: JSON) throws {
        #expect(try JSON(parsing: text) == value)
    }

    @Test(
        arguments: [
            ("", .unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("tru", .unexpectedEnd, 3),
            ("nulL", .unexpectedByte(0x4c), 3),
            ("True", .unexpectedByte(0x54), 0), ("1 2", .trailingBytes, 2), ("{} x", .trailingBytes, 3),
            ("01", .trailingBytes, 1), ("-01", .trailingBytes, 2), ("+1", .unexpectedByte(0x2b), 0),
            ("-", .unexpectedEnd, 1),
            ("1.", .unexpectedEnd, 2), (".5", .unexpectedByte(0x2e), 0), ("1.e3", .unexpectedByte(0x65), 2),
            ("1e", .unexpectedEnd, 2), ("1e+", .unexpectedEnd, 3), ("0x10", .trailingBytes, 1),
            ("1_0", .trailingBytes, 1),
            ("9223372036854775808", .numberOutOfRange, 0), ("-9223372036854775809", .numberOutOfRange, 0),
            ("99999999999999999999999999", .numberOutOfRange, 0), ("1e999", .numberOutOfRange, 0),
            ("[-1e999]", .numberOutOfRange, 1),
            ("NaN", .unexpectedByte(0x4e), 0), ("Infinity", .unexpectedByte(0x49), 0),
            ("-Infinity", .unexpectedByte(0x49), 1),
            ("\"", .unexpectedEnd, 1), ("\"a", .unexpectedEnd, 2), ("\"\\", .unexpectedEnd, 2),
            ("\"\\u12", .unexpectedEnd, 5),
            (#""\x""#, .invalidEscape, 1), (#""\u12g4""#, .invalidEscape, 5), (#""\U0041""#, .invalidEscape, 1),
            (#""\ud800""#, .loneSurrogate, 1), (#""\ud800x""#, .loneSurrogate, 1), (#""\ud800\n""#, .loneSurrogate, 1),
            (#""\udc00""#, .loneSurrogate, 1), (#""\ud800\u0041""#, .loneSurrogate, 1),
            (#""\ud800\ud800""#, .loneSurrogate, 1),
            ("\"\n\"", .unescapedControlCharacter, 1), ("\"a\0\"", .unescapedControlCharacter, 2),
            ("'a'", .unexpectedByte(0x27), 0), ("[", .unexpectedEnd, 1), ("[1", .unexpectedEnd, 2),
            ("[1,", .unexpectedEnd, 3),
            ("[1,]", .unexpectedByte(0x5d), 3), ("[,1]", .unexpectedByte(0x2c), 1), ("[1 2]", .unexpectedByte(0x32), 3),
            ("[1}", .unexpectedByte(0x7d), 2), ("]", .unexpectedByte(0x5d), 0), ("{", .unexpectedEnd, 1),
            (#"{"a"}"#, .unexpectedByte(0x7d), 4), (#"{"a":}"#, .unexpectedByte(0x7d), 5),
            (#"{"a":1,}"#, .unexpectedByte(0x7d), 7),
            ("{a:1}", .unexpectedByte(0x61), 1), ("{1:1}", .unexpectedByte(0x31), 1),
            (#"{"a" 1}"#, .unexpectedByte(0x31), 5),
            (#"{"a":1 "b":2}"#, .unexpectedByte(0x22), 7), (#"{"a":1,"\u0061":2}"#, .duplicateKey("a"), 7),
            ("// x\n1", .unexpectedByte(0x2f), 0), ("\u{feff}1", .unexpectedByte(0xef), 0),
            ("\u{a0}1", .unexpectedByte(0xc2), 0),
        ] as [(String, JSONError.Reason, Int)])
    func refusesWhatIsNotJSONAndSaysWhere(text: String, reason: JSONError.Reason, offset: Int) {
        #expect(throws: JSONError(reason, at: offset)) { try JSON(parsing: text) }
    }

    @Test(
        arguments: [
            [0x80], [0xc0, 0xaf], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff],
            [0x61, 0xc3, 0x5c, 0x6e],
        ] as [[UInt8]])
    func refusesStringsThatAreNotUTF8(bytes: [UInt8]) {
        #expect(throws: JSONError(.invalidUTF8, at: 0)) { try JSON(parsing: [0x22] + bytes + [0x22]) }
    }

    @Test func nestsAsDeepAsTheLimitAndNoDeeper() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try JSON(parsing: deep)
        #expect(throws: JSONError(.tooDeep, at: 64)) { try JSON(parsing: "[" + deep + "]") }
        let objects = String(repeating: #"{"a":"#, count: 65) + "1" + String(repeating: "}", count: 65)
        #expect(throws: JSONError(.tooDeep, at: 64 * 5)) { try JSON(parsing: objects) }
        #expect(throws: JSONError(.tooDeep, at: 64)) { try JSON(parsing: String(repeating: "[", count: 1 << 20)) }
    }

    @Test func readsAsManyValuesAsTheLimitAndNoMore() throws {
        _ = try JSON(parsing: "[1,2,3]", limits: JSON.Limits(values: 4))
        #expect(throws: JSONError(.tooManyValues, at: 5)) {
            try JSON(parsing: "[1,2,3]", limits: JSON.Limits(values: 3))
        }
    }

    @Test func readsNumbersThatAreNotFiniteOnlyWhereAskedTo() throws {
        let limits = JSON.Limits(readsNonFinite: true)
        #expect(try JSON(parsing: "Infinity", limits: limits) == .number(.infinity))
        #expect(try JSON(parsing: "[-Infinity]", limits: limits) == [.number(-.infinity)])
        #expect(try JSON(parsing: "-1e999", limits: limits) == .number(-.infinity))
        #expect(try JSON(parsing: "10000000000000000000", limits: limits) == .number(1e19))
        #expect(try JSON(parsing: "NaN", limits: limits).doubleValue?.isNaN == true)
        #expect(throws: JSONError.self) { try JSON(parsing: "Nan", limits: limits) }
        #expect(throws: JSONError.self) { try JSON(parsing: "-NaN", limits: limits) }
    }

    /// Comparing each key with all before it would take much longer than the limit.
    @Test func findsADuplicateAmongManyKeysInLinearTime() {
        let members = (0..<100_000).map { "\"k\($0)\":0" }.joined(separator: ",")
        let seconds = processorSeconds {
            #expect(throws: JSONError.self) { try JSON(parsing: "{\(members),\"k4711\":1}") }
            #expect((try? JSON(parsing: "{\(members)}"))?.objectValue?.count == 100_000)
        }
        #expect(seconds < 60)
    }

    @Test(
        arguments: [
            (JSON.null, "null"), (true, "true"), (.integer(.min), "-9223372036854775808"), (.number(1), "1.0"),
            (.number(0.1), "0.1"),
            (.number(1e300), "1e+300"), (.number(.leastNonzeroMagnitude), "5e-324"), (.number(.nan), "null"),
            (.number(-.infinity), "null"),
            ("a\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é𝄞", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}é𝄞\""),
            ([], "[]"), ([1, [], [:]], "[1,[],{}]"),
            (.object(["b": 1, "a": ["c": .null]]), #"{"b":1,"a":{"c":null}}"#),
        ] as [(JSON, String)])
    func writesCompactTextInOrder(value: JSON, text: String) {
        #expect(value.description == text)
        #expect(value.serialize() == Array(text.utf8))
    }

    @Test func writesIndentedTextForPeople() {
        let value: JSON = ["name": "web1", "leases": [1, ["a": 2]], "none": [], "nothing": [:]]
        #expect(
            value.prettyDescription == """
                {
                  "name": "web1",
                  "leases": [
                    1,
                    {
                      "a": 2
                    }
                  ],
                  "none": [],
                  "nothing": {}
                }
                """)
    }

    @Test func objectsKeepTheOrderOfTheirKeysButCompareWithoutIt() {
        var object: JSON.Object = ["a": 1, "b": 2, "a": 3]
        #expect(object.members.map(\.key) == ["a", "b"])
        object["a"] = 4
        object["c"] = 5
        #expect(object.keys == ["a", "b", "c"])
        #expect(object == ["c": 5, "b": 2, "a": 4])
        object["a"] = nil
        object["z"] = nil
        #expect(object.keys == ["b", "c"])
        #expect(object != ["b": 2])
        #expect(object != ["b": 2, "c": 6])
        #expect(object != ["b": 2, "d": 5])
    }
}
