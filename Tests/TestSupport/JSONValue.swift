import Foundation

/// Any JSON, to look into without a type for every answer.
public enum JSONValue: Hashable, Sendable, Codable, CustomStringConvertible {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number without a fraction that fits.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object.
    case object([String: JSONValue])

    /// Parses text.
    ///
    /// - Throws: `TestFailure` that shows the beginning of the text.
    public init(parsing data: Data) throws {
        do {
            self = try JSONDecoder().decode(JSONValue.self, from: data)
        } catch {
            throw TestFailure("not JSON (\(error)): \(String(decoding: data.prefix(2000), as: UTF8.self))")
        }
    }

    /// Parses text.
    public init(parsing text: String) throws { try self.init(parsing: Data(text.utf8)) }

    /// Decodes from any decoder.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// Encodes to any encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// A member of an object; nil for anything else.
    public subscript(key: String) -> JSONValue? {
        if case .object(let members) = self { members[key] } else { nil }
    }

    /// An element of an array; nil for anything else.
    public subscript(index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    /// The string; nil for anything else.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The integer; nil for anything else.
    public var integer: Int? { if case .integer(let value) = self { Int(value) } else { nil } }
    /// The number; nil for anything else.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
    /// The truth value; nil for anything else.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements; nil for anything else.
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    /// The members; nil for anything else.
    public var object: [String: JSONValue]? { if case .object(let value) = self { value } else { nil } }

    /// As text, keys sorted.
    public var description: String { String(decoding: data, as: UTF8.self) }

    /// As bytes, keys sorted.
    public var data: Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)) ?? Data("null".utf8)
    }

    /// Where two values differ, one line each, such as `limits.nofile[0]: 1024, not 20000`.
    ///
    /// - Parameter ignored: paths whose differences, and those below, don't count.
    public func differences(from expected: JSONValue, ignoring ignored: Set<String> = [], at path: String = "")
        -> [String]
    {
        if ignored.contains(path) || self == expected { return [] }
        func below(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
        switch (self, expected) {
        case (.object(let mine), .object(let theirs)):
            return Set(mine.keys).union(theirs.keys).sorted().flatMap { key -> [String] in
                guard let left = mine[key], let right = theirs[key] else {
                    if ignored.contains(below(key)) { return [] }
                    return [
                        "\(below(key)): \(mine[key]?.description ?? "missing"), not "
                            + "\(theirs[key]?.description ?? "missing")"
                    ]
                }
                return left.differences(from: right, ignoring: ignored, at: below(key))
            }
        case (.array(let mine), .array(let theirs)) where mine.count == theirs.count:
            return zip(mine, theirs).enumerated().flatMap { index, pair in
                pair.0.differences(from: pair.1, ignoring: ignored, at: "\(path)[\(index)]")
            }
        default:
            return ["\(path): \(self), not \(expected)"]
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements) { $1 })
    }
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
}
