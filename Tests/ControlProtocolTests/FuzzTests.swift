import Testing

@testable import ControlProtocol

/// Nothing a stranger sends traps; what is read can be written and read again.
@Suite struct FuzzTests {
    @Test func randomBytesNeverTrap() {
        SeededGenerator.run { random in
            for _ in 0..<30_000 {
                let count = Int.random(in: 0...40, using: &random)
                feed((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
        }
    }

    @Test func randomJSONPunctuationNeverTraps() {
        let alphabet = Array(#"{}[]":,\u0dD8eE+-.19tfnNI ax/"#.utf8)
        SeededGenerator.run { random in
            for _ in 0..<60_000 {
                let count = Int.random(in: 0...24, using: &random)
                feed((0..<count).map { _ in alphabet[Int.random(in: alphabet.indices, using: &random)] })
            }
        }
    }

    @Test func mutatedMessagesNeverTrap() {
        var corpus = Samples.calls.map { CallMessage(call: $0).message() }
        corpus += Samples.errors.map { Reply.error($0).message() }
        corpus += Samples.values.map { $0.json.serialize() }
        corpus.append(Reply.status(Samples.status).message())
        let tokens = [
            "9223372036854775807", "-9223372036854775808", "99999999999", "-1", "1e999", "1e-999", "NaN", "-Infinity",
            "null",
            "true", "\\ud800", "\\udc00", "\\u0000", "[", "{}", "\"", "\\", ",", ":", "\0", "\u{301}",
        ]
        SeededGenerator.run { random in
            for _ in 0..<40_000 {
                var bytes = corpus[Int.random(in: corpus.indices, using: &random)]
                for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                    let index = Int.random(in: bytes.indices, using: &random)
                    switch Int.random(in: 0..<6, using: &random) {
                    case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes.remove(at: index)
                    case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                    case 3: bytes.removeSubrange(index...)
                    case 4:
                        let token = tokens[Int.random(in: tokens.indices, using: &random)]
                        bytes.replaceSubrange(
                            index..<min(index + Int.random(in: 0...2, using: &random), bytes.count), with: token.utf8)
                    default: bytes.append(contentsOf: bytes[index...])
                    }
                }
                feed(bytes)
            }
        }
    }

    @Test func messagesWithAnotherValueInThemNeverTrap() {
        var corpus = Samples.values.map(\.json)
        corpus += Samples.calls.map { ["method": .string($0.method), "parameters": .object($0.parameters)] }
        SeededGenerator.run { random in
            for _ in 0..<10_000 {
                let original = corpus[Int.random(in: corpus.indices, using: &random)]
                feed(original.withAnotherValue(using: &random).serialize())
            }
        }
    }

    /// Through everything that reads.
    private func feed(_ bytes: [UInt8]) {
        var framer = Framer(limitBytes: 64)
        framer.append(bytes)
        while let message = try? framer.next() { _ = try? CallMessage(message: message) }
        _ = Timestamp(rfc3339: String(decoding: bytes, as: UTF8.self))

        let message = bytes.last == 0 ? Array(bytes.dropLast()) : bytes
        do {
            let call = try CallMessage(message: message)
            #expect((try? CallMessage(message: Array(call.message().dropLast()))) == call)
        } catch {
            if case .refused(let error, _) = error { _ = Reply.error(error).message() + Array(error.message.utf8) }
        }
        do { _ = try ReplyMessage(message: message) } catch { _ = error.description }
        guard let json = try? JSON(parsing: message) else { return }
        #expect((try? JSON(parsing: json.serialize())) == json)
        _ = json.prettyDescription
        _ = try? WireStatus(json: json)
        _ = try? WireEvent(json: json)
        _ = try? WireExit(json: json)
        _ = try? WireHolder(json: json)
    }
}

extension JSON {
    /// The same but for one value, at any depth.
    fileprivate func withAnotherValue(using random: inout SeededGenerator) -> JSON {
        let others: [JSON] = [
            .null, true, "", "a\0b", 0, -1, .integer(.max), .integer(.min), 99_999_999_999, .number(1e300),
            .number(-0.0), [], [1],
            [:], ["a": "b"],
        ]
        let other = others[Int.random(in: others.indices, using: &random)]
        switch self {
        case .array(var elements) where !elements.isEmpty:
            let index = Int.random(in: elements.indices, using: &random)
            elements[index] = elements[index].withAnotherValue(using: &random)
            return .array(elements)
        case .object(var object) where !object.isEmpty:
            let member = object.members[Int.random(in: object.members.indices, using: &random)]
            object[member.key] = member.value.withAnotherValue(using: &random)
            return .object(object)
        case .null, .bool, .integer, .number, .string, .array, .object:
            return other
        }
    }
}
