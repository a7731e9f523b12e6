import ts from "typescript";

/** Takes apart destructuring assignments that fill variables of the cell and members of objects alike, `[a, o.b] = c`, over which
 * TypeScript 5.9 stumbles where `a` is exported: `(t = c, [a, o.b] = t, a = a, t)`, of which only `a = a` is one to be exported. */
export const mixedAssignments: ts.TransformerFactory<ts.SourceFile> = (context) => (file) => {
  const { factory } = context;
  const visit = (node: ts.Node): ts.Node => {
    const visited = ts.visitEachChild(node, visit, context);
    if (!isAssignment(visited) || !isPattern(visited.left)) return visited;
    const variables: ts.Identifier[] = [];
    let mixed = false;

    /** The target with names that are none of the cell's, as far as TypeScript knows. */
    const target = (node: ts.Node): ts.Node => {
      if (isAssignment(node))
        return factory.updateBinaryExpression(node, target(node.left) as ts.Expression, node.operatorToken, node.right);
      if (isPattern(node)) return ts.visitEachChild(node, element, context);
      if (!ts.isIdentifier(node)) mixed = true;
      else variables.push(node);
      return ts.isIdentifier(node) ? factory.createIdentifier(node.text) : node;
    };
    const element = (node: ts.Node): ts.Node => {
      if (ts.isOmittedExpression(node)) return node;
      if (ts.isShorthandPropertyAssignment(node))
        return factory.updateShorthandPropertyAssignment(
          node,
          target(node.name) as ts.Identifier,
          node.objectAssignmentInitializer,
        );
      if (ts.isPropertyAssignment(node))
        return factory.updatePropertyAssignment(node, node.name, target(node.initializer) as ts.Expression);
      if (ts.isSpreadElement(node)) return factory.updateSpreadElement(node, target(node.expression) as ts.Expression);
      if (ts.isSpreadAssignment(node)) return factory.updateSpreadAssignment(node, target(node.expression) as ts.Expression);
      return target(node);
    };

    const renamed = target(visited.left) as ts.Expression;
    if (!mixed || variables.length === 0) return visited;
    const value = factory.createTempVariable(context.hoistVariableDeclaration);
    const steps: ts.Expression[] = [factory.createAssignment(value, visited.right), factory.createAssignment(renamed, value)];
    for (const name of variables) steps.push(factory.createAssignment(name, name));
    return factory.createParenthesizedExpression([...steps, value].reduce((before, step) => factory.createComma(before, step)));
  };
  return ts.visitEachChild(file, visit, context);
};

function isAssignment(node: ts.Node): node is ts.BinaryExpression {
  return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken;
}

function isPattern(node: ts.Node): node is ts.ObjectLiteralExpression | ts.ArrayLiteralExpression {
  return ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node);
}
