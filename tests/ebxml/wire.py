"""What happens to an element between two peers."""

from lxml import etree

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


def over_the_wire(element: etree._Element) -> etree._Element:
    """The element as a receiver has it: serialised and parsed."""
    return etree.fromstring(etree.tostring(element, encoding="utf-8"), _PARSER)


def parse(text: str) -> etree._Element:
    """Element of a literal in a test; rim, rs, query and xds are declared."""
    declared = (
        '<w xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"'
        ' xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:xds="urn:ihe:iti:xds-b:2007"'
        ' xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:xop="http://www.w3.org/2004/08/xop/include">'
    )
    return etree.fromstring(f"{declared}{text}</w>", _PARSER)[0]
