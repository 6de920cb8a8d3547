import Testing

@testable import ControlProtocol

/// The text is a contract, and the code is what keeps it: both are compared.
@Suite struct InterfaceTextTests {
    @Test func isTheContractByteForByte() {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in interfaceText.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        #expect(interfaceText.utf8.count == 2295)
        #expect(hash == 0x1bc4_f420_47b5_56fe)
    }

    @Test func everyMethodIsReadWithTheParametersItHas() throws {
        for text in [interfaceText, serviceInterfaceText] {
            let interface = try #require(names(after: "interface ", in: text).first)
            let methods = declarations("method ", in: text)
            let calls = Samples.calls.filter { $0.name.interface == interface }
            #expect(Set(methods.map(\.name)) == Set(calls.map(\.name.method)))
            for method in methods {
                let fields = method.fields.first ?? []
                let sent = Set(calls.filter { $0.name.method == method.name }.flatMap(\.parameters.keys))
                #expect(sent == Set(fields), "\(method.name)")
            }
        }
    }

    @Test func everyErrorIsKnownWithTheParametersItHas() throws {
        for text in [interfaceText, serviceInterfaceText] {
            let interface = try #require(names(after: "interface ", in: text).first)
            for error in declarations("error ", in: text) {
                let known = Samples.errors.first { $0.name == "\(interface).\(error.name)" }
                #expect(known?.parameters.keys == error.fields.first, "\(error.name)")
            }
        }
    }

    @Test func everyTypeHasItsFieldsInOrder() {
        let samples: [String: any WireValue] = [
            "Disk": Samples.disk, "Lease": Samples.lease, "Lockspace": Samples.lockspace, "Holder": Samples.holder,
            "Exit": Samples.exit, "Status": Samples.status, "Event": Samples.event,
        ]
        let types = declarations("type ", in: interfaceText)
        #expect(types.count == samples.count)
        for type in types {
            #expect(samples[type.name]?.json.objectValue?.keys == type.fields.first, "\(type.name)")
        }
    }

    @Test(arguments: [
        ("mode: (", WireDisk.Mode.allCases.map(\.rawValue)), ("state: (held", WireLease.State.allCases.map(\.rawValue)),
        ("liveness: (", WireHolder.Liveness.allCases.map(\.rawValue)),
        ("reason: (", WireExit.Reason.allCases.map(\.rawValue)),
        ("state: (acq", WireStatus.State.allCases.map(\.rawValue)),
        ("mode: (exclusive, shared)", WireLease.Mode.allCases.map(\.rawValue)),
    ])
    func everyChoiceIsTheInterfaces(place: String, words: [String]) {
        let text = place.prefix { $0 != "(" } + "(" + words.joined(separator: ", ") + ")"
        #expect(interfaceText.contains(text))
    }

    private func names(after keyword: String, in text: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix(keyword) }.map { String($0.dropFirst(keyword.count)) }
    }

    /// The name of each declaration, and the field names of each parenthesis at its outer level.
    private func declarations(_ keyword: String, in text: String) -> [(name: String, fields: [[String]])] {
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let flat = lines.joined(separator: "\n")
        let keywords = ["interface ", "type ", "method ", "error "]
        var found: [(String, [[String]])] = []
        var rest = flat[...]
        while let start = rest.firstIndex(of: "\n") {
            rest = rest[rest.index(after: start)...]
            guard rest.hasPrefix(keyword) else { continue }
            var body = ""
            for line in rest.split(separator: "\n") {
                if !body.isEmpty, keywords.contains(where: line.hasPrefix) { break }
                body += line + " "
            }
            let declaration = body.dropFirst(keyword.count)
            let name = String(declaration.prefix { $0.isLetter })
            found.append((name, fields(in: declaration.dropFirst(name.count))))
        }
        return found
    }

    private func fields(in text: Substring) -> [[String]] {
        var groups: [[String]] = []
        var depth = 0
        var word = ""
        for character in text {
            switch character {
            case "(":
                depth += 1
                if depth == 1 { groups.append([]) }
                word = ""
            case ")":
                depth -= 1
                word = ""
            case ":":
                if depth == 1 { groups[groups.count - 1].append(word) }
                word = ""
            default: if character.isLetter { word.append(character) } else { word = "" }
            }
        }
        return groups
    }
}
