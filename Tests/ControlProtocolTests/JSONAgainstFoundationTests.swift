import Foundation
import Testing

@testable import ControlProtocol

/// Foundation's parser and ours read what the other writes, and mean the same.
@Suite struct JSONAgainstFoundationTests {
    @Test func foundationReadsWhatWeWrite() throws {
        try SeededGenerator.run { random in
            for _ in 0..<2000 {
                let value = JSON.random(depth: 4, using: &random)
                for text in [value.description, value.prettyDescription] {
                    let read = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
                    #expect(value.means(read), "\(text)")
                }
                #expect(try JSON(parsing: value.serialize()) == value)
                #expect(try JSON(parsing: value.prettyDescription) == value)
            }
        }
    }

    @Test func weReadWhatFoundationWrites() throws {
        try SeededGenerator.run { random in
            for _ in 0..<2000 {
                let value = JSON.random(depth: 4, using: &random)
                let written = try JSONSerialization.data(withJSONObject: value.foundation, options: .fragmentsAllowed)
                let read = try JSON(parsing: [UInt8](written))
                let again = try JSONSerialization.jsonObject(with: written, options: .fragmentsAllowed)
                #expect(read.means(again), "\(String(decoding: written, as: UTF8.self))")
            }
        }
    }
}

extension JSON {
    static func random(depth: Int, using random: inout SeededGenerator) -> JSON {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .integer(Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random))
        case 3:
            let value = Double(bitPattern: random.next())
            return .number(value.isFinite ? value : 0.5)
        case 4: return .string(randomText(using: &random))
        case 5:
            var elements: [JSON] = []
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                elements.append(self.random(depth: depth - 1, using: &random))
            }
            return .array(elements)
        default:
            var object = Object()
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                object[randomText(using: &random)] = self.random(depth: depth - 1, using: &random)
            }
            return .object(object)
        }
    }

    private static func randomText(using random: inout SeededGenerator) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            // No combining characters: Foundation's dictionaries take two spellings of a key for one.
            let ranges: [ClosedRange<UInt32>] = [
                0...0x7f, 0x20...0x7e, 0x400...0x44f, 0x4e00...0x4eff, 0x1f600...0x1f64f,
            ]
            let range = ranges[Int.random(in: 0..<ranges.count, using: &random)]
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.append(scalar) }
        }
        return String(text)
    }

    var foundation: Any {
        switch self {
        case .null: NSNull()
        case .bool(let value): NSNumber(value: value)
        case .integer(let value): NSNumber(value: value)
        case .number(let value): NSNumber(value: value)
        case .string(let value): value
        case .array(let elements): elements.map(\.foundation)
        case .object(let object):
            Dictionary(object.members.map { ($0.key, $0.value.foundation) }, uniquingKeysWith: { first, _ in first })
        }
    }

    func means(_ other: Any) -> Bool {
        switch self {
        case .null: other is NSNull
        case .bool(let value): (other as? Bool) == value
        case .integer(let value): (other as? NSNumber)?.int64Value == value
        // Foundation reads many doubles by way of its decimal type, whose doubleValue is off in the last digits. That ours
        // are exact, their way out and back shows.
        case .number(let value):
            (other as? NSNumber).map { abs($0.doubleValue - value) <= max(abs(value) * 1e-14, 1e-300) } ?? false
        case .string(let value): (other as? String) == value
        case .array(let elements):
            (other as? [Any]).map { others in
                others.count == elements.count && zip(elements, others).allSatisfy { $0.means($1) }
            } ?? false
        case .object(let object):
            (other as? [String: Any]).map { others in
                others.count == object.count
                    && object.members.allSatisfy { member in others[member.key].map { member.value.means($0) } ?? false
                    }
            } ?? false
        }
    }
}
