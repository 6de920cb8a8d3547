/// A JSON value, as RFC 8259 has it, with integers kept apart from other numbers.
///
/// It exists because the supervisor's memory and start-up leave no room for Foundation; it is strict where a
/// daemon that reads strangers' input wants it (see ``init(parsing:limits:)``) and never traps.
public enum JSON: Sendable, Equatable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number written without fraction and exponent.
    case integer(Int64)
    /// Any other number. A value that isn't finite has no JSON spelling and is written as `null`.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSON])
    /// An object.
    case object(Object)
}

extension JSON {
    /// The members of a JSON object, in the order in which they were read or set.
    ///
    /// Keys are compared by their bytes: to JSON, two spellings of one accented letter are two keys. Two objects
    /// are equal where they have equal members, in whatever order.
    public struct Object: Sendable {
        /// A key and its value.
        public struct Member: Sendable, Equatable {
            /// The key.
            public let key: String
            /// The value.
            public var value: JSON

            /// Makes a member of its two halves.
            public init(key: String, value: JSON) {
                self.key = key
                self.value = value
            }
        }

        /// The members, each key once.
        public private(set) var members: [Member]

        /// An object without members.
        public init() {
            members = []
        }

        /// Takes members whose keys the caller knows to differ.
        init(distinct members: [Member]) {
            self.members = members
        }
    }
}

extension JSON.Object {
    /// How many members there are.
    public var count: Int { members.count }

    /// Whether there are no members.
    public var isEmpty: Bool { members.isEmpty }

    /// The keys, in order.
    public var keys: [String] { members.map(\.key) }

    /// The value of a key, nil where the object hasn't got it. Setting keeps the place of a key that is there and
    /// appends one that isn't; setting nil removes it.
    public subscript(key: String) -> JSON? {
        get { index(of: key).map { members[$0].value } }
        set {
            switch (index(of: key), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    private func index(of key: String) -> Int? {
        members.firstIndex { $0.key.hasSameBytes(as: key) }
    }
}

extension JSON.Object: Equatable {
    /// Whether both have the same keys with equal values, in whatever order.
    public static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }
}

extension JSON {
    /// The value under a key, nil where this is no object or hasn't got the key.
    public subscript(key: String) -> JSON? { objectValue?[key] }

    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// The boolean, nil for any other kind.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The integer, nil for any other kind.
    public var integerValue: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// The number, integer or not, nil for any other kind.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null, .bool, .string, .array, .object: nil
        }
    }

    /// The string, nil for any other kind.
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements, nil for any other kind.
    public var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }

    /// The object, nil for any other kind.
    public var objectValue: Object? { if case .object(let value) = self { value } else { nil } }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }

    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }

    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// An array.
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }

    /// An object; of a key given twice the last value counts.
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(Object(elements)) }
}

extension JSON.Object: ExpressibleByDictionaryLiteral {
    /// An object; of a key given twice the last value counts.
    public init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }

    init(_ elements: [(String, JSON)]) {
        self.init()
        for (key, value) in elements { self[key] = value }
    }
}

extension String {
    /// Byte for byte, where `==` would call differently composed letters equal.
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
